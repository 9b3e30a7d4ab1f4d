"""The documentation says what the program does: tables, links, commands and names."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
from pathlib import Path

import pytest

import geoseg
from geoseg.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
GENERATED: dict[Path, str] = runpy.run_path(str(ROOT / "scripts" / "option_tables.py"))["pages"]()


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return [text for name, text in BLOCK.findall(page.read_text("utf-8")) if name == language]


def links(page: Path) -> list[str]:
    """Relative links of a page, outside its code."""
    prose = re.sub(r"`[^`\n]*`", "", BLOCK.sub("", page.read_text("utf-8")))
    return [link for link in LINK.findall(prose) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """What a link to a part of a page may name, as the usual Markdown renderers make it."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands() -> list[str]:
    """Every `geoseg ...` line of a shell block."""
    shell = "".join(text for page in PAGES for text in blocks(page, "sh"))
    lines = shell.replace("\\\n", " ").splitlines()
    return [found[1] for line in lines if (found := re.search(r"(?:^|\s)(geoseg .+)", line))]


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: page.name)
def test_the_generated_pages_are_up_to_date(page: Path) -> None:
    assert page.read_bytes() == GENERATED[page].encode(), "run: make docs"


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
    assert {"demo", "info", "tile", "train", "predict", "vectorize", "evaluate", "run"} <= shown


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


def test_the_readme_shows_the_python_functions() -> None:
    text = "".join(blocks(ROOT / "README.md", "python"))
    assert {"geoseg.tile", "geoseg.train", "geoseg.predict", "geoseg.vectorize"} <= set(
        re.findall(r"geoseg\.[a-z]+", text)
    )
