"""Write a new entry: all of it, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from geoseg import files
from geoseg.catalog.tree import FILE, walk
from geoseg.errors import CatalogError, ConfigError, GeosegError, OutputError
from geoseg.steps.catalog.inspection import sidecars


def catalog_with(folder: Path, name: str) -> dict[str, Any]:
    """The catalog of a folder with a link to the new entry; a new catalog if there is none.

    Raises:
        CatalogError: a document of the catalog cannot be read.
        OutputError: it has an entry of that id already.
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
            raise OutputError("has an entry of that id already", where=path, got=name)
    link = {"rel": "child", "href": f"./{name}/collection.json", "type": "application/json"}
    return content | {"links": [*content.get("links", []), link]}


def place_of(path: Path, folder: Path, name: str, *, copy_in: bool) -> Path:
    """The path at which the catalog holds a file: its own, or that of a copy.

    Raises:
        ConfigError: it lies outside the catalog's folder and ``copy_in`` is off.
    """
    if path.is_relative_to(folder):
        return path
    if not copy_in:
        raise ConfigError(
            "lies outside the catalog's folder, which must hold all its files",
            where=path,
            wanted=f"a file in {folder}",
            fix="--copy-in copies it, or --root names the folder of the data",
        )
    return folder / name / path.name


def write(
    documents: Mapping[Path, Any], placed: Mapping[Path, Path], folder: Path, catalog: Any
) -> list[Path]:
    """Write copies and documents, the catalog last, so that readers find the whole entry or none.

    Returns:
        The paths of the documents.

    Raises:
        OutputError: a file exists already, or the folder is not writable.
        RetryError: the disk is full.
    """
    copies = dict(_copies(placed))
    in_the_way = [path for path in (*copies, *documents) if path.exists()]
    if in_the_way:
        raise OutputError("exists already", where=in_the_way[0], fix="choose another --name")
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
    """Each copy and its original, sidecars included."""
    for path, place in placed.items():
        if place != path:
            for each in (path, *sidecars(path)):
                yield place.with_name(each.name), each
