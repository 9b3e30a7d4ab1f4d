"""The plan of the house: imports point down only, files are small, nothing heavy loads early."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

import geoseg

ROOT = Path(geoseg.__file__).parent
FLOORS = (
    {"errors", "xmlfile"},
    {"files", "gdal", "gdal_messages", "grid", "allocator", "options", "problems", "remote"}
    | {"yamlfile", "accuracy", "progress"},
    {"classes", "ground", "layout"},
    {"raster", "vector", "polygonize", "style", "render", "job", "catalog"},
    {"labels"},
    {"chips", "maps"},
    {"models", "report", "samples", "mosaic"},
    {"qgis", "metadata"},
    {"steps"},
    {"overview", "config"},
    {"pipeline"},
    {"synthetic"},
    {"cli"},
    {"__main__", "__init__"},
)
"""Ground floor first; a module imports from lower floors, and siblings do not import each other.

`classes` stands half a floor above `yamlfile`, which reads its files, and `ground` above `grid`.
"""
MODEL_FLOORS = (
    {"architectures", "band_names", "input_scaling", "torchgeo_adapter"},
    {"networks"},
    {"saved"},
    {"run", "pretrained"},
    {"fit", "exchange"},
    {"pixelwise"},
    {"saved_model"},
)
"""The floors inside `models`, by the same rule."""
FLOOR_OF = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}
MAX_LINES = 600
NO_NAMES = {"utils", "util", "base", "helpers", "helper", "common", "misc"}
HEAVY = ("torch", "rasterio", "geopandas", "lightning", "dask", "sklearn", "matplotlib", "xarray")
MODULES = sorted(ROOT.rglob("*.py"))


@dataclass(frozen=True)
class Import:
    """An import of a module of geoseg, as dotted parts below ``geoseg``."""

    path: Path
    line: int
    target: tuple[str, ...]
    typing_only: bool

    @property
    def source(self) -> tuple[str, ...]:
        return parts_of(self.path)

    def __str__(self) -> str:
        name = self.path.relative_to(ROOT.parent).as_posix()
        return f"{name}:{self.line} imports geoseg.{'.'.join(self.target)}"


def parts_of(path: Path) -> tuple[str, ...]:
    """geoseg/job/run_directory.py -> (job, run); a package stands for its __init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts


def imports_of(path: Path) -> Iterator[Import]:
    """All imports of geoseg in a file, also those in functions and under TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        for target in targets_of(node, path):
            yield Import(path, getattr(node, "lineno", 0), target, id(node) in typing_only)


def targets_of(node: ast.AST, path: Path) -> Iterator[tuple[str, ...]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            first, *rest = alias.name.split(".")
            if first == "geoseg":
                yield tuple(rest) or ("__init__",)
    if isinstance(node, ast.ImportFrom):
        package = ("geoseg", *path.relative_to(ROOT).parts[:-1])
        start = package[: len(package) + 1 - node.level] if node.level else ()
        module = (*start, *(node.module or "").split(".")) if node.module else start
        if module[:1] != ("geoseg",):
            return
        for alias in node.names:
            yield (
                (*module[1:], alias.name)
                if is_module((*module[1:], alias.name))
                else (module[1:] or ("__init__",))
            )


def is_module(parts: tuple[str, ...]) -> bool:
    place = ROOT.joinpath(*parts)
    return place.is_dir() or place.with_suffix(".py").is_file()


IMPORTS = list(dict.fromkeys(found for path in MODULES for found in imports_of(path)))


def is_allowed(found: Import) -> bool:
    """Down is allowed; so is the same package, but not another step."""
    if found.typing_only and found.source == ("options",):
        return True
    if found.source[0] == found.target[0]:
        return found.source[0] != "steps" or same_step(found)
    return FLOOR_OF[found.target[0]] < FLOOR_OF[found.source[0]]


def same_step(found: Import) -> bool:
    return len(found.source) == 1 or found.source[:2] == found.target[:2]


def test_modules_of_a_step_take_its_options_from_options_and_not_from_its_package() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.source[0] == "steps" and len(found.source) == 3 and not found.typing_only
        if found.target == found.source[:2]
    ]
    assert not wrong


def test_every_module_stands_on_a_floor() -> None:
    modules = {parts_of(path)[0] for path in MODULES}
    assert not modules - set(FLOOR_OF), (
        f"{sorted(modules - set(FLOOR_OF))} stand on no floor: add them to FLOORS in {__file__}"
    )


def test_imports_point_down_only_and_siblings_do_not_import_each_other() -> None:
    wrong = [str(found) for found in IMPORTS if not is_allowed(found)]
    assert not wrong, "imports that do not point down:\n" + "\n".join(wrong)


def circles(found: Iterable[Import]) -> list[list[str]]:
    """Groups of modules that import each other, late imports counted; those for types are not."""
    graph: dict[str, set[str]] = defaultdict(set)
    for each in found:
        if not each.typing_only:
            graph[".".join(each.source)].add(".".join(each.target))
    names = sorted({*graph, *(target for targets in graph.values() for target in targets)})
    number = {name: index for index, name in enumerate(names)}
    edges = [(number[a], number[b]) for a, targets in graph.items() for b in targets if a != b]
    rows, cols = zip(*edges, strict=True) if edges else ((), ())
    matrix = coo_array((np.ones(len(edges)), (rows, cols)), shape=(len(names), len(names)))
    count, groups = connected_components(matrix, connection="strong")
    members = [
        [name for name, group in zip(names, groups, strict=True) if group == g]
        for g in range(count)
    ]
    return [group for group in members if len(group) > 1]


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = circles(IMPORTS)
    assert not found, "circles of imports:\n" + "\n".join(" <-> ".join(group) for group in found)


def test_a_circle_through_a_late_import_is_found() -> None:
    def edge(source: str, target: str, *, typing_only: bool = False) -> Import:
        return Import(ROOT / f"{source}.py", 1, tuple(target.split(".")), typing_only)

    chain = [edge("job/run", "job.lock"), edge("job/lock", "files")]
    assert circles(chain) == []
    assert circles([*chain, edge("files", "job.run", typing_only=True)]) == []
    assert circles([*chain, edge("files", "job.run")]) == [["files", "job.lock", "job.run"]]


def test_imports_inside_models_point_down_only() -> None:
    floor_of = {room: floor for floor, rooms in enumerate(MODEL_FLOORS) for room in rooms}
    inside = [
        found
        for found in IMPORTS
        if found.source[0] == found.target[0] == "models" and found.source[1] != found.target[1]
    ]
    wrong = [
        str(found) for found in inside if floor_of[found.target[1]] >= floor_of[found.source[1]]
    ]
    assert inside
    assert not wrong, "imports that do not point down:\n" + "\n".join(wrong)


def test_torchgeo_is_imported_in_modules_named_after_it_only() -> None:
    users = {
        path.stem
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom | ast.Import)
        for name in [getattr(node, "module", None) or node.names[0].name]
        if name.split(".")[0] == "torchgeo"
    }
    assert users == {"torchgeo_adapter", "torchgeo_task"}


def test_the_rules_see_what_they_are_for() -> None:
    def allowed(source: str, target: str, *, typing_only: bool = False) -> bool:
        path = ROOT / f"{source}.py"
        return is_allowed(Import(path, 1, tuple(target.split(".")), typing_only))

    assert allowed("raster/cog", "files")
    assert allowed("raster/cog", "raster.block")
    assert allowed("steps/predict/map_region", "steps.predict.plan")
    assert allowed("options", "raster", typing_only=True)
    assert not allowed("raster/cog", "vector")
    assert not allowed("raster/cog", "vector", typing_only=True)
    assert not allowed("chips/cut", "models.saved.spec")
    assert not allowed("grid", "raster")
    assert not allowed("steps/train", "steps.tile")
    assert not allowed("steps/predict/map_region", "steps.tile")
    assert not allowed("steps/train", "cli")
    assert not allowed("cli", "__init__")


def test_the_reader_finds_imports_of_every_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path / "geoseg")
    (tmp_path / "geoseg" / "job").mkdir(parents=True)
    for name in ("grid.py", "job/run.py", "job/pool.py"):
        (tmp_path / "geoseg" / name).touch()
    path = tmp_path / "geoseg" / "job" / "record.py"
    path.write_text(
        "import os, geoseg.grid\nfrom geoseg import grid, Window\nfrom .run import Run\n"
        "from . import pool\nfrom .. import grid\nfrom ..grid import Window\n"
        "def late():\n    from geoseg.job.pool import spread\n"
        "if TYPE_CHECKING:\n    from geoseg.grid import Window\n"
    )
    found = [(each.line, ".".join(each.target), each.typing_only) for each in imports_of(path)]
    assert sorted(found) == [
        (1, "grid", False),
        (2, "__init__", False),
        (2, "grid", False),
        (3, "job.run", False),
        (4, "job.pool", False),
        (5, "grid", False),
        (6, "grid", False),
        (8, "job.pool", False),
        (10, "grid", True),
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_has_a_name_that_says_something_and_at_most_600_lines(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{path} has {lines} lines: split it"
    vague = NO_NAMES & set(parts_of(path))
    assert not vague, f"{path}: {vague} says nothing; name it after what it holds"


def test_no_two_modules_have_the_same_name() -> None:
    """A name says what a module holds; options stand in every step."""
    names = Counter(path.name for path in MODULES)
    shared = {name for name, count in names.items() if count > 1}
    assert shared <= {"__init__.py", "options.py"}


@pytest.mark.parametrize("module", ["geoseg", "geoseg.errors", "geoseg.options"])
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == [], f"import {module} loads {done.stdout}"


def test_no_public_name_is_also_a_module() -> None:
    """Importing a module geoseg.predict would replace the function geoseg.predict."""
    modules = {parts_of(path)[0] for path in MODULES}
    assert not modules & set(geoseg.__all__)
