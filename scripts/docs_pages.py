"""MkDocs hook (see mkdocs.yml) that adds generated pictures, notebooks and the list of decisions.

Pictures and notebooks are generated before the pages, in the folder `extra.made`. A page shows a
picture where it has the comment `<!-- picture: NAME | caption -->`, which other Markdown renderers
ignore.
"""

from __future__ import annotations

import logging
import re
from html import escape
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

PICTURE = re.compile(r"^<!-- picture: (?P<name>[\w-]+) \| (?P<text>.+?) -->$", re.MULTILINE)
DECISIONS = """\
# Decisions

Design decisions, the reasons for them, and their drawbacks.

"""
log = logging.getLogger("mkdocs.hooks.docs_pages")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated files and a list of the decisions."""
    made = Path(config.config_file_path).parent / config.extra["made"]
    for path in sorted(each for each in made.rglob("*") if each.is_file()):
        name = path.relative_to(made).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    paths = sorted((Path(config.docs_dir) / "decisions").glob("0*.md"))
    text = DECISIONS + "".join(map(_item, paths))
    files.append(File.generated(config, "decisions/index.md", content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, files: Files, **_: Any) -> str:
    """Insert pictures, and point links to notebooks at their pages."""

    def figure(found: re.Match[str]) -> str:
        return _figure(found["name"], found["text"], page, files)

    return re.sub(r"\]\(([\w./-]+)\.ipynb\)", r"](\1.md)", PICTURE.sub(figure, markdown))


def _item(path: Path) -> str:
    number, _, title = path.read_text("utf-8").splitlines()[0].removeprefix("# ").partition(". ")
    return f"- {number}: [{title}]({path.name})\n"


def _figure(name: str, text: str, page: Page, files: Files) -> str:
    file = files.get_file_from_path(f"pictures/{name}.webp")
    if file is None:
        log.warning("%s: picture %s is missing; run make docs", page.file.src_uri, name)
        return ""
    source = get_relative_url(file.url, page.url)
    words = escape(text)
    return (
        f'<figure markdown="0"><img src="{source}" alt="{words}" loading="lazy">'
        f"<figcaption>{words}</figcaption></figure>"
    )
