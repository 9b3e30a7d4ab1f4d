"""`make docs`: pages that build strictly, open from files and ask no other host for anything."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from commands import COMMANDS

import geoseg

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
PICTURE = re.compile(r"^<!-- picture: ([\w-]+) \| .+ -->$", re.MULTILINE)
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
"""What a browser fetches by itself, by tag and attribute."""
BROWSER = shutil.which("chromium"), shutil.which("chromedriver")


class Fetched(HTMLParser):
    """The addresses that a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name == LOADED.get(tag)]


def drawn() -> set[str]:
    """The pictures that scripts/pictures.py draws."""
    return set(runpy.run_path(str(ROOT / "scripts" / "pictures.py"))["pictures"](Path("demo")))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, demo: Path) -> Path:
    """What `make docs` makes in a checkout that has its environment and its demo."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("docs", "scripts", "tests/qgis"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("Makefile", "README.md", "mkdocs.yml"):
        shutil.copy(ROOT / name, folder)
    for name in ("geoseg", "data_catalog"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "demo").symlink_to(demo)
    command = ["make", "--old-file=env", "docs", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def pages(site: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(site.rglob("*.html")):
        yield path, path.read_text("utf-8")


@pytest.mark.slow
def test_the_pages_are_there_with_their_pictures_and_notebooks(site: Path) -> None:
    text = (site / "tutorials" / "first-map.html").read_text("utf-8")
    assert text.count("<figure") == len(
        PICTURE.findall((DOCS / "tutorials/first-map.md").read_text())
    )
    assert {path.stem for path in (site / "pictures").iterdir()} == drawn()
    for notebook in NOTEBOOKS:
        page = (site / "notebooks" / f"{notebook.stem}.html").read_text("utf-8")
        assert "<img" in page and str(ROOT) not in page
    listed = (site / "decisions" / "index.html").read_text("utf-8")
    assert all(f"{path.stem}.html" in listed for path in (DOCS / "decisions").glob("0*.md"))


@pytest.mark.slow
def test_no_page_fetches_anything_from_another_host(site: Path) -> None:
    for path, text in pages(site):
        parser = Fetched()
        parser.feed(text)
        assert parser.found
        assert not [each for each in parser.found if re.match(r"(https?:)?//", each)], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", path.read_text("utf-8")), path


@pytest.mark.slow
def test_pages_can_be_searched_without_a_server(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text("utf-8")
    found = json.loads(index.removeprefix("var __index = "))
    assert any(each["location"].startswith("tasks/tile.html") for each in found["docs"])
    assert all("iframe-worker.js" in text for _, text in pages(site))


@pytest.mark.slow
@pytest.mark.skipif(not all(BROWSER), reason="no Chromium with its driver here")
def test_chromium_finds_a_page_by_a_word_without_a_server(site: Path, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    with chromium(tmp_path) as browser:
        browser.get((site / "index.html").as_uri())
        browser.find_element(By.NAME, "query").send_keys("regularize")
        hits = WebDriverWait(browser, 60).until(
            lambda here: here.find_elements(By.CSS_SELECTOR, "a.md-search-result__link")
        )
        places = [hit.get_attribute("href") or "" for hit in hits]
        assert any("/formats.html" in place for place in places), places
        assert not [each for each in browser.get_log("browser") if each["level"] == "SEVERE"]
        asked = browser.execute_script(
            "return performance.getEntriesByType('resource').map(each => each.name)"
        )
    assert not [each for each in asked if not each.startswith(("file:", "data:"))]


@contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """Debian's Chromium without a screen, asking nobody for anything of its own."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location, driver = map(str, BROWSER)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
        "disable-background-networking", "disable-component-update", "disable-sync",
        f"user-data-dir={profile}", "window-size=1300,1000",
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    browser = Chrome(options=options, service=ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()


@pytest.mark.slow
def test_every_public_name_has_an_entry_with_what_it_takes(site: Path) -> None:
    text = (site / "api.html").read_text("utf-8")
    assert all(f'id="geoseg.{name}"' in text for name in geoseg.__all__)
    assert "&gt;&gt;&gt; " in text or '<span class="gp">&gt;&gt;&gt; </span>' in text


def test_the_api_page_names_what_is_public() -> None:
    names = re.findall(r"^::: geoseg\.(\w+)$", (DOCS / "api.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(names) == sorted(geoseg.__all__)


def test_every_command_has_a_page_that_shows_its_options() -> None:
    parts = (DOCS / "options.md").read_text("utf-8")
    for command in set(COMMANDS) - {"demo"}:
        page = (DOCS / "tasks" / f"{command}.md").read_text("utf-8")
        snippet = f'--8<-- "docs/options.md:{command}"'
        assert snippet in page or f"[start:{command}]" not in parts, command


def test_pictures_are_drawn_and_drawn_pictures_are_shown() -> None:
    shown = {
        name for page in DOCS.rglob("*.md") for name in PICTURE.findall(page.read_text("utf-8"))
    }
    assert shown == drawn()


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    for path in DOCS.rglob("*.md"):
        name = path.relative_to(DOCS).as_posix()
        assert f" {name}\n" in text or name.startswith("decisions/0"), name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None
