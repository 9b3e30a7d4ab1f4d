"""The documents of a static STAC catalog: local files in one folder, limited in size and number.

A catalog may come from anyone, so nothing outside its folder is opened and no link is followed to a
server.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from geoseg.errors import CatalogError, GeosegError, UnsafeError

FOLDER, FILE = "data_catalog", "catalog.json"
MAX_BYTES = 1 << 20
MAX_DEPTH = 16
MAX_DOCUMENTS = 10_000
REMOTE = ("https", "s3")
TYPES = ("Catalog", "Collection", "Feature")


@dataclass(frozen=True, slots=True)
class CatalogProblem:
    """A problem of a catalog.

    Attributes:
        path: the file, relative to the catalog's folder.
        code: a stable name of the kind of problem, for programs.
        message: what is wrong.
        fix: the next move.
    """

    path: str
    code: str
    message: str
    fix: str | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" + (f". Next: {self.fix}" if self.fix else "")


@dataclass(frozen=True, slots=True)
class Document:
    """A catalog, collection or item.

    Attributes:
        path: the file.
        content: its JSON.
        parent: the document that links to it, or None for the root.
    """

    path: Path
    content: dict[str, Any]
    parent: Document | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """All documents that can be reached from the root, and the problems met on the way."""

    folder: Path
    documents: list[Document] = field(default_factory=list)
    problems: list[CatalogProblem] = field(default_factory=list)

    def problem(
        self, path: Path, code: str, message: str, fix: str | None = None
    ) -> CatalogProblem:
        """A problem of a file of this catalog."""
        inside = path.is_relative_to(self.folder)
        return CatalogProblem(
            (path.relative_to(self.folder) if inside else path).as_posix(), code, message, fix
        )


def default_root() -> Path:
    """The ``data_catalog`` in the current folder, else the one beside the package.

    Raises:
        CatalogError: neither exists.
    """
    for folder in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if (folder / FOLDER / FILE).is_file():
            return folder / FOLDER
    raise CatalogError(
        "there is no data catalog here",
        where=Path.cwd(),
        wanted=f"{FOLDER}/{FILE}",
        fix="pass --root, or run this in the folder that holds it",
    )


def walk(root: str | Path | None) -> Tree:
    """Read a catalog and everything it links to as child or item.

    Raises:
        CatalogError: there is no catalog at ``root``.
    """
    start = default_root() if root is None else Path(root)
    start = (start / FILE if start.is_dir() else start).resolve()
    if not start.is_file():
        raise CatalogError("is not a catalog", where=root, wanted=f"a folder with {FILE}")
    tree = Tree(start.parent)
    _visit(tree, start, None, ())
    return tree


def local_path(href: str, document: Path, folder: Path) -> Path | None:
    """The file that an href of a document leads to; None for an allowed remote address.

    Raises:
        UnsafeError: it leads out of the catalog's folder, or to something never opened.
    """
    parts = urlsplit(href)
    if href.startswith(("/vsi", "\\")) or (parts.scheme and parts.scheme not in REMOTE):
        raise UnsafeError(
            f"the href {href!r} is of a kind that is never opened",
            wanted="https, s3, or a path inside the catalog",
        )
    if parts.scheme:
        _check_host(href, parts.hostname)
        return None
    path = (document.parent / href).resolve()
    if Path(href).is_absolute() or not path.is_relative_to(folder):
        raise UnsafeError(f"the href {href!r} leaves the catalog's folder")
    return path


def links(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Rel and href of every link that has both."""
    found = content.get("links")
    for each in found if isinstance(found, list) else []:
        rel, href = (each.get("rel"), each.get("href")) if isinstance(each, dict) else (None, None)
        if isinstance(rel, str) and isinstance(href, str):
            yield rel, href


def _visit(tree: Tree, path: Path, parent: Document | None, above: tuple[Path, ...]) -> None:
    hinder = _hindrance(tree, path, above)
    if hinder:
        tree.problems.append(tree.problem(above[-1], "link", f"{hinder}: {path.name}"))
        return
    try:
        content = _read(path)
    except CatalogError as error:
        tree.problems.append(tree.problem(path, "json", _text(error), error.fix))
        return
    document = Document(path, content, parent)
    tree.documents.append(document)
    for rel, href in links(content):
        if rel not in ("child", "item"):
            continue
        try:
            target = local_path(href, path, tree.folder)
        except UnsafeError as error:
            tree.problems.append(tree.problem(path, "unsafe", _text(error)))
            continue
        if target is None:
            text = f"the {rel} {href!r} is not part of this catalog"
            tree.problems.append(tree.problem(path, "link", text, "copy it into the folder"))
        else:
            _visit(tree, target, document, (*above, path))


def _hindrance(tree: Tree, path: Path, above: tuple[Path, ...]) -> str | None:
    if path in above:
        return "a link leads back to a document above it"
    if any(path == each.path for each in tree.documents):
        return "two links lead to one document"
    if len(above) > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH} levels"
    if len(tree.documents) >= MAX_DOCUMENTS:
        return f"has more than {MAX_DOCUMENTS} documents"
    return None if path.is_file() else "a link leads to a missing file"


def _read(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise CatalogError("is too large", got=f"{size} bytes", wanted=f"at most {MAX_BYTES}")
    try:
        content = json.loads(path.read_bytes().decode(), parse_constant=_refuse)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise CatalogError(f"is not JSON at {where}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise CatalogError("is not JSON", got=error) from error
    if not isinstance(content, dict) or content.get("type") not in TYPES:
        got = content.get("type") if isinstance(content, dict) else type(content).__name__
        raise CatalogError(
            "is not a STAC document", got=got, wanted=f"a type of {', '.join(TYPES)}"
        )
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _check_host(href: str, host: str | None) -> None:
    """Refuse addresses of this machine and its network: server-side request forgery."""
    try:
        inner = not ipaddress.ip_address(host or "").is_global
    except ValueError:
        inner = not host or host == "localhost" or bool(re.search(r"\.(local|internal)$", host))
    if inner:
        raise UnsafeError(f"the href {href!r} leads into a private network")


def _text(error: GeosegError) -> str:
    return str(type(error)(error.what, got=error.got, wanted=error.wanted))
