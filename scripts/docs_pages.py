"""What MkDocs does not do by itself (a hook of mkdocs.yml).

Pictures and notebooks are made before the pages, into the folder `extra.made`; here they join them.
A page shows a picture where it has the comment `<!-- picture: NAME | what it shows -->`, which
other renderers of Markdown pass over.
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

What was decided, why, and what speaks against it.

"""
log = logging.getLogger("mkdocs.hooks.docs_pages")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what was made, and a list of the decisions."""
    made = Path(config.config_file_path).parent / config.extra["made"]
    for path in sorted(each for each in made.rglob("*") if each.is_file()):
        name = path.relative_to(made).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    paths = sorted((Path(config.docs_dir) / "decisions").glob("0*.md"))
    text = DECISIONS + "".join(map(_item, paths))
    files.append(File.generated(config, "decisions/index.md", content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, files: Files, **_: Any) -> str:
    """Show pictures, and let links to a notebook lead to its page."""

    def figure(found: re.Match[str]) -> str:
        return _figure(found["name"], found["text"], page, files)

    return re.sub(r"\]\(([\w./-]+)\.ipynb\)", r"](\1.md)", PICTURE.sub(figure, markdown))


def _item(path: Path) -> str:
    number, _, title = path.read_text("utf-8").splitlines()[0].removeprefix("# ").partition(". ")
    return f"- {number}: [{title}]({path.name})\n"


def _figure(name: str, text: str, page: Page, files: Files) -> str:
    file = files.get_file_from_path(f"pictures/{name}.webp")
    if file is None:
        log.warning("%s: there is no picture %s; make docs draws it", page.file.src_uri, name)
        return ""
    source = get_relative_url(file.url, page.url)
    words = escape(text)
    return (
        f'<figure markdown="0"><img src="{source}" alt="{words}" loading="lazy">'
        f"<figcaption>{words}</figcaption></figure>"
    )
