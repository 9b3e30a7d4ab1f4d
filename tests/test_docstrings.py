"""Docstrings: every public function names the errors that it raises."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import geoseg
from geoseg import errors

ROOT = Path(geoseg.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if "cli" not in path.relative_to(ROOT).parts)
"""All but the commands, whose docstrings are their help: there, errors are exit codes."""


@dataclass
class Function:
    """A function of a module.

    Attributes:
        document: its docstring and that of its class.
        public: neither it nor its class begins with an underscore.
        raised: errors of its own ``raise`` statements.
        called: names of functions of the module that it calls, and the errors it catches of each.
    """

    document: str
    public: bool
    raised: set[str] = field(default_factory=set)
    called: list[tuple[str, frozenset[str]]] = field(default_factory=list)

    def read(self, node: ast.AST, caught: frozenset[str] = frozenset()) -> None:
        """Add what stands in a node; functions inside of it are others."""
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            return
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = last_name(node.exc.func)  # in lower case, a function that makes the error
            self.raised |= {name} if name[0].isupper() and not is_named(name, caught) else set()
        if isinstance(node, ast.Call):
            self.called.append((last_name(node.func), caught))
        body = node.body if isinstance(node, ast.Try) else []
        for child in ast.iter_child_nodes(node):
            self.read(child, caught | handled(node) if child in body else caught)


def last_name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def handled(node: ast.AST) -> frozenset[str]:
    assert isinstance(node, ast.Try)
    types = [each.type for each in node.handlers if each.type is not None]
    listed = [each.elts if isinstance(each, ast.Tuple) else [each] for each in types]
    return frozenset(last_name(name) for names in listed for name in names)


def functions(
    node: ast.AST, document: str = "", public: bool = True
) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            open_to_all = public and not child.name.startswith("_")
            yield from functions(child, ast.get_docstring(child) or "", open_to_all)
        elif isinstance(child, ast.FunctionDef):
            text = f"{document}\n{ast.get_docstring(child)}"
            found = Function(text, public and not child.name.startswith("_"))
            for each in child.body:
                found.read(each)
            yield child.name, found


def raised_by(name: str, known: dict[str, Function], seen: frozenset[str]) -> set[str]:
    """Errors of a function, and of private functions of its module that it calls."""
    found = set(known[name].raised)
    for callee, caught in known[name].called:
        if callee.startswith("_") and callee in known.keys() - seen:
            below = raised_by(callee, known, seen | {name})
            found |= {each for each in below if not is_named(each, caught)}
    return found


def is_named(error: str, names: frozenset[str] | str) -> bool:
    """Whether an error or one that it is a kind of is among the names or in the text."""
    kind = getattr(errors, error, getattr(builtins, error, None))
    kinds = [each.__name__ for each in kind.__mro__] if kind else [error]
    return any(each in names for each in kinds if each not in ("Exception", "object"))


def unnamed(source: str) -> list[str]:
    known = dict(functions(ast.parse(source)))
    return [
        f"{name}: {error}"
        for name, function in known.items()
        if function.public
        for error in sorted(raised_by(name, known, frozenset()))
        if not is_named(error, function.document)
    ]


def test_public_functions_name_the_errors_that_they_raise() -> None:
    found = {path.relative_to(ROOT): unnamed(path.read_text("utf-8")) for path in MODULES}
    assert {path: names for path, names in found.items() if names} == {}


def test_an_error_without_a_name_is_found_and_a_caught_one_is_none() -> None:
    source = '''
def named(): """Raises: InputError."""; _helper()
def forgotten(): """Do."""; _helper()
def catches():
    """Do."""
    try:
        _helper()
    except (OSError, InputError):
        pass
def _helper(): raise RasterError("no")
'''
    assert unnamed(source) == ["forgotten: RasterError"]
