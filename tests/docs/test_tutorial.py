"""Every command and every Python block of the tutorials is run, in the order of the page.

The scene is that of the demo, and networks learn for six steps. A block that cannot be run has a
comment `<!-- not run: why -->` above it. A block without a language that follows a command shows
what the command prints: its lines are looked for in the output, or its first one alone where
`<!-- output varies -->` stands above it.
"""

from __future__ import annotations

import logging
import os
import re
import runpy
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from geoseg.classes import load_yaml
from geoseg.cli import _main

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
README = ROOT / "README.md"
PAGES = [README, *TUTORIALS]
README_GOES_ON = "\n## Better models"
"""Where the README turns from the quick start to commands whose files nobody has here."""

FENCE = re.compile(
    r"^(?:<!-- (?P<mark>[^>]+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SHELL, PYTHON = ("sh", "bash", "console"), "python"
NOT_RUN = {
    ("README.md", "installs Python packages"),
    ("first-map.md", "a shell's own setting"),
    ("batch.md", "asks a server"),  # tests/end_to_end/test_batch.py has one
}
VARIES = "output varies"


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Attributes:
        language: after the fence; empty for what a command prints.
        text: what it holds.
        mark: the comment above it.
        answers: nothing stands between it and the block before it.
    """

    language: str
    text: str
    mark: str
    answers: bool

    @property
    def is_run(self) -> bool:
        return self.language in (*SHELL, PYTHON) and not self.mark.startswith("not run: ")

    def expected(self) -> list[str]:
        """The lines that the command before it has to print."""
        lines = [line for line in map(squeezed, self.text.splitlines()) if line]
        return lines[:1] if self.mark == VARIES else lines


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    text = text.partition(README_GOES_ON)[0] if page == README else text
    found, end = [], 0
    for match in FENCE.finditer(text):
        answers = not text[end : match.start()].strip()
        found.append(Block(match["language"], match["text"], match["mark"] or "", answers))
        end = match.end()
    return found


def squeezed(line: str) -> str:
    return " ".join(line.split())


@dataclass
class Reader:
    """Somebody who does what a page says, in the folder in which the test stands."""

    module: ModuleType
    capture: pytest.CaptureFixture[str]
    log: pytest.LogCaptureFixture

    def does(self, block: Block) -> list[str]:
        """Run a block; the lines that were printed and logged."""
        self.capture.readouterr()
        self.log.clear()
        if block.language == PYTHON:
            exec(compile(block.text, "<tutorial>", "exec"), vars(self.module))
        else:
            for line in block.text.replace("\\\n", " ").splitlines():
                self.types(line.removeprefix("$ "))
        printed = "\n".join([self.capture.readouterr().out, *self.log.messages])
        return [squeezed(line) for line in printed.splitlines()]

    def types(self, line: str) -> None:
        words = shlex.split(line, comments=True)
        if words[:1] == ["make"]:
            words = recipe(words[1])
        if not words:
            return
        if set(line.partition("#")[0]) & set("|<>;&"):
            programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
            subprocess.run(["bash", "-ec", line], check=True, env={**os.environ, "PATH": programs})
        elif words[0] == "geoseg":
            assert _main(words[1:]) == 0, line
        elif words[0] == "python":
            self.runs_script(words[1:])
        else:
            subprocess.run(words, check=True)
        if "--draw-sample" in words:
            fill_in(Path(words[words.index("-o") + 1]))

    def runs_script(self, words: list[str]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", words)
            runpy.run_path(words[0], run_name="__main__")


def recipe(verb: str) -> list[str]:
    """The geoseg command behind a verb of the Makefile."""
    found = re.search(rf"^{verb}: .*\n\t@\$\(PYTHON\) -m (geoseg .+)$", makefile(), re.MULTILINE)
    assert found, verb
    return found[1].split()


def makefile() -> str:
    return (ROOT / "Makefile").read_text("utf-8")


def fill_in(sample: Path) -> None:
    """What the interpreter of a sample does in QGIS: name the class of every point.

    The triggers of the file's spatial index want functions that QGIS has.
    """
    names = load_yaml(Path("classes.yaml")).names
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'sample'"
    with closing(sqlite3.connect(sample)) as database, database:
        for (name,) in database.execute(triggers).fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        drawn = database.execute("SELECT class_id, point FROM drawn").fetchall()
        rows = [(names[index], point) for index, point in drawn]
        database.executemany("UPDATE sample SET reference = ? WHERE point = ?", rows)


@pytest.fixture
def reader(
    tmp_path: Path,
    demo: Path,
    brief_training: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Reader:
    """In a folder like a checkout in which `make demo` was run."""
    shutil.copytree(demo, tmp_path / "demo")
    for name in ("configs", "pipelines", "data_catalog"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("scene.tif", "labels.gpkg", "classes.yaml"):
        shutil.copy(demo / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "geoseg")
    module = ModuleType("tutorial")
    monkeypatch.setitem(sys.modules, "tutorial", module)
    return Reader(module, capsys, caplog)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_the_page_runs_and_prints_what_it_shows(page: Path, reader: Reader) -> None:
    printed: list[str] = []
    for block in blocks(page):
        if block.is_run:
            printed = reader.does(block)
        elif not block.language and block.answers and printed:
            rest = iter(printed)
            for line in block.expected():
                assert any(line in each for each in rest), (line, printed)


def test_only_known_blocks_are_not_run() -> None:
    found = {
        (page.name, block.mark.removeprefix("not run: "))
        for page in PAGES
        for block in blocks(page)
        if block.language in (*SHELL, PYTHON) and not block.is_run
    }
    assert found == NOT_RUN


def test_the_tutorials_show_what_their_commands_print() -> None:
    shown = blocks(ROOT / "docs" / "tutorials" / "first-map.md")
    answers = [block for block in shown if not block.language and block.answers]
    assert len(answers) == 5 and sum(block.mark == VARIES for block in answers) == 2
