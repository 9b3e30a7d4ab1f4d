"""A new entry onto the disk: all of it, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from geoseg import files
from geoseg.catalog.tree import FILE, walk
from geoseg.errors import CatalogError, ConfigError, GeosegError, OutputError
from geoseg.steps.catalog.stac_documents import BESIDE


def catalog_with(folder: Path, name: str) -> dict[str, Any]:
    """The catalog of a folder with a link to the new entry; a new one where there is none.

    Raises:
        CatalogError: a document of the catalog cannot be read.
        OutputError: it has such an entry already.
    """
    path = folder / FILE
    if not path.is_file():
        content: dict[str, Any] = {
            "type": "Catalog", "stac_version": "1.1.0", "id": folder.name,
            "description": f"Data sets in {folder.name}.",
            "links": [{"rel": "root", "href": f"./{FILE}", "type": "application/json"}],
        }  # fmt: skip
    else:
        tree = walk(folder)
        if tree.problems:
            raise CatalogError(
                " | ".join(map(str, tree.problems)), where=path, fix="geoseg catalog validate"
            )
        content = tree.documents[0].content
        if any(each.content.get("id") == name for each in tree.documents):
            raise OutputError("has such an entry already", where=path, got=name)
    link = {"rel": "child", "href": f"./{name}/collection.json", "type": "application/json"}
    return content | {"links": [*content.get("links", []), link]}


def place_of(path: Path, folder: Path, name: str, *, copy_in: bool) -> Path:
    """Where a file will be: where it is, or in the entry's folder.

    Raises:
        ConfigError: it lies outside of the catalog's folder, and is not to be copied.
    """
    if path.is_relative_to(folder):
        return path
    if not copy_in:
        raise ConfigError(
            "lies outside of the catalog's folder, which has to hold all files it names",
            where=path,
            wanted=f"a file in {folder}",
            fix="--copy-in copies it, or --root names the folder of the data",
        )
    return folder / name / path.name


def write(
    documents: Mapping[Path, Any], placed: Mapping[Path, Path], folder: Path, catalog: Any
) -> list[Path]:
    """Write copies and documents, the catalog last: before it, nothing leads to the rest.

    Returns:
        The documents.

    Raises:
        OutputError: a file stands in the way, or the place cannot be written to.
        RetryError: the disk is full.
    """
    copies = dict(_copies(placed))
    in_the_way = [path for path in (*copies, *documents) if path.exists()]
    if in_the_way:
        raise OutputError("stands in the way", where=in_the_way[0], fix="choose another --name")
    made: list[Path] = []
    try:
        for place, path in copies.items():
            with files.whole(place) as temporary:
                shutil.copyfile(path, temporary)
            made.append(place)
        for path, content in documents.items():
            files.write_json(path, content)
            made.append(path)
        files.write_json(folder / FILE, catalog)
    except (GeosegError, OSError):
        for path in made:
            path.unlink(missing_ok=True)
        raise
    return [*documents, folder / FILE]


def _copies(placed: Mapping[Path, Path]) -> Iterator[tuple[Path, Path]]:
    """What is to be copied, with the files beside it: the copy, then the original."""
    for path, place in placed.items():
        beside = [path.with_suffix(each) for each in BESIDE if path.suffix.lower() == ".shp"]
        for each in (path, *beside, path.with_name(f"{path.name}.aux.xml")):
            if place != path and each.is_file():
                yield place.with_name(each.name), each
