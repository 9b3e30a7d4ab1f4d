"""The documentation says what the program does: tables, links, commands and names."""

from __future__ import annotations

import ast
import doctest
import re
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest
import rasterio
from commands import COMMANDS
from small_scene import MakeRaster

import geoseg
from geoseg.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
GENERATED: dict[Path, str] = {
    page: text
    for script in ("option_tables.py", "data_table.py")
    for page, text in runpy.run_path(str(ROOT / "scripts" / script))["pages"]().items()
}


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return [text for name, text in BLOCK.findall(page.read_text("utf-8")) if name == language]


def links(page: Path) -> list[str]:
    """Relative links of a page, outside its code."""
    prose = re.sub(r"`[^`\n]*`", "", BLOCK.sub("", page.read_text("utf-8")))
    return [link for link in LINK.findall(prose) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """What a link to a part of a page may name, as the usual renderers and mkdocstrings make it."""
    text = BLOCK.sub("", page.read_text("utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    names = re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles} | {*names}


def commands() -> list[str]:
    """Every `geoseg ...` line of a shell block."""
    shell = "".join(text for page in PAGES for text in blocks(page, "sh"))
    lines = shell.replace("\\\n", " ").splitlines()
    return [found[1] for line in lines if (found := re.search(r"(?:^|\s)(geoseg [^>]+)", line))]


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: page.name)
def test_the_generated_pages_are_up_to_date(page: Path) -> None:
    assert page.read_bytes() == GENERATED[page].encode(), "run: python scripts/option_tables.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    dead = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


@pytest.mark.parametrize("command", commands())
def test_every_command_of_the_docs_parses(command: str) -> None:
    _, *tokens = shlex.split(command, comments=True)
    app.parse_args(tokens, exit_on_error=False, print_error=False)


def test_the_docs_show_every_step_as_a_command() -> None:
    shown = {command.split()[1] for command in commands()}
    assert set(COMMANDS) - {"catalog"} <= shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_names_in_python_blocks_are_public(page: Path) -> None:
    nodes = [node for text in blocks(page, "python") for node in ast.walk(ast.parse(text))]
    used = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "geoseg"
    }
    assert used <= set(geoseg.__all__)
    for name in used:
        assert getattr(geoseg, name)


def test_the_tutorials_predictor_maps_water_where_its_index_is_above_the_threshold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_raster: MakeRaster
) -> None:
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 2000, (4, 40, 70), dtype=np.uint16)
    pixels[:, :5] = 0
    (tmp_path / "demo").mkdir()
    path = make_raster(tmp_path / "demo" / "scene.tif", pixels, nodata=0)
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("blue", "green", "red", "nir")
    monkeypatch.chdir(tmp_path)
    texts = blocks(ROOT / "docs" / "tutorials" / "first-map.md", "python")
    (text,) = (text for text in texts if "class WaterIndex" in text)
    (tmp_path / "water.py").write_text(text, "utf-8")
    runpy.run_path("water.py")
    found = geoseg.open_map("first/water")
    green, nir = pixels[1].astype(float), pixels[3].astype(float)
    index = (green - nir) / np.maximum(green + nir, 1)
    empty = (green == 0) & (nir == 0)
    assert np.array_equal(found.classes.values, np.where(empty, 255, index > 0.1))
    assert np.allclose(found.confidence.values[~empty], abs(100 * index[~empty]), atol=1)
    assert 0.3 < (found.classes.values == 1).mean() < 0.5


def test_the_readme_shows_the_python_functions() -> None:
    text = "".join(blocks(ROOT / "README.md", "python"))
    assert {"geoseg.tile", "geoseg.train", "geoseg.predict", "geoseg.vectorize"} <= set(
        re.findall(r"geoseg\.[a-z]+", text)
    )


@pytest.mark.parametrize("name", geoseg.__all__)
def test_every_public_name_has_an_example_which_runs_unless_it_takes_minutes(name: str) -> None:
    examples = doctest.DocTestParser().get_examples(getattr(geoseg, name).__doc__)
    assert examples
    skipped = {example.source for example in examples if doctest.SKIP in example.options}
    assert bool(skipped) == (name in {"demo", "view"})
