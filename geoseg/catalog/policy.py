"""What geoseg requires of a catalog beyond STAC: licences, pixel sizes, remaps and uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from geoseg.catalog.entries import CLASSES, COMMERCIAL_USE, FETCH, REMAP, UNKNOWN, Fetch
from geoseg.catalog.tree import CatalogProblem, Document, Tree, links, local_path
from geoseg.errors import UnsafeError
from geoseg.options import complaint

USERS = ("configs/**/*.yaml", "pipelines/**/*.py", "docs/**/*.md")
"""Files beside the catalog's folder in which a project uses its data sets."""
GENERATED = re.compile(r"<!-- data sets -->.*?<!-- end -->", re.DOTALL)
"""A table generated from the catalog, which names every entry without using it."""


def required_fields(tree: Tree, document: Document) -> Iterator[CatalogProblem]:
    """Fields missing from a collection."""
    content = document.content
    if content["type"] != "Collection":
        return
    summaries = _dict(content, "summaries")
    if content.get("license") == "other" and not any(rel == "license" for rel, _ in links(content)):
        text = "the licence is 'other', and no link leads to its text"
        yield tree.problem(document.path, "license", text, "add a link with rel: license")
    if content.get(COMMERCIAL_USE) not in ("yes", "no", "see source"):
        text = f"{COMMERCIAL_USE} is {content.get(COMMERCIAL_USE)!r}, not yes, no or see source"
        yield tree.problem(document.path, "commercial-use", text)
    if not summaries.get("gsd") and not _admits(content, "gsd"):
        text = "summaries/gsd states no pixel size in metres"
        yield tree.problem(document.path, "gsd", text, f'or add "gsd" to {UNKNOWN}')
    if not summaries.get("bands") and not summaries.get(CLASSES):
        text = f"summaries has neither bands nor {CLASSES}"
        yield tree.problem(document.path, "bands", text)
    try:
        Fetch.model_validate(content.get(FETCH))
    except ValidationError as error:
        text = f"{FETCH}: {complaint(error.errors()[0])}"
        yield tree.problem(document.path, "fetch", text, 'as {"method": "manual", "how": "..."}')


def checksums(tree: Tree, document: Document) -> Iterator[CatalogProblem]:
    """Files on servers without a checksum, unless the entry lists it as unknown."""
    if _admits(document.content, "checksum"):
        return
    for name, asset in _dict(document.content, "assets").items():
        if isinstance(asset, dict) and "file:checksum" not in asset and _served(asset, document):
            text = f"asset {name!r} is on a server and has no file:checksum"
            yield tree.problem(document.path, "checksum", text, f'or add "checksum" to {UNKNOWN}')


def remaps(tree: Tree) -> Iterator[CatalogProblem]:
    """Remaps from or to classes that do not exist."""
    values = {str(each.content.get("id")): _values(each) for each in tree.documents}
    for document in tree.documents:
        own = values[str(document.content.get("id"))]
        for target, table in _dict(document.content, REMAP).items():
            there = values.get(target)
            pairs = table if isinstance(table, dict) else {}
            lost = [key for key in pairs if key not in own]
            lost += [f"{value}" for value in pairs.values() if str(value) not in (there or ())]
            if there is None or lost or not pairs:
                what = f"no entry {target!r}" if there is None else f"no class {', '.join(lost)}"
                text = f"{REMAP} to {target!r}: there is {what if pairs else 'no table'}"
                yield tree.problem(document.path, "remap", text)


def uses(tree: Tree) -> Iterator[CatalogProblem]:
    """Data sets that no file of the project names; a catalog outside a project is not checked."""
    project_folder = tree.folder.parent
    texts = [path.read_text("utf-8") for each in USERS for path in project_folder.glob(each)]
    words = {word for text in texts for word in _words(text)}
    for document in tree.documents if texts else ():
        name = str(document.content.get("id"))
        if document.content["type"] == "Collection" and name not in words:
            text = f"no config, pipeline or page of the docs uses {name!r}"
            yield tree.problem(document.path, "unused", text, f"see {', '.join(USERS)}")


def _served(asset: dict[str, Any], document: Document) -> bool:
    """Whether an asset is on a server, at an address that a catalog may name."""
    try:
        href = str(asset.get("href"))
        return "://" in href and local_path(href, document.path, document.path.parent) is None
    except UnsafeError:
        return False


def _words(text: str) -> Iterator[str]:
    """Every word that could be an id, also at the end of a sentence."""
    for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", GENERATED.sub("", text)):
        yield from (word, word.rstrip(".-_"))


def _values(document: Document) -> set[str]:
    found = _dict(document.content, "summaries").get(CLASSES)
    rows = found if isinstance(found, list) else []
    return {str(each.get("value")) for each in rows if isinstance(each, dict)}


def _admits(content: dict[str, Any], what: str) -> bool:
    stated = content.get(UNKNOWN)
    return isinstance(stated, list) and what in stated


def _dict(content: dict[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}
