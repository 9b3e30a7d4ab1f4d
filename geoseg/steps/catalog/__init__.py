"""Add local files to a data catalog."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from geoseg.errors import ConfigError
from geoseg.steps.catalog.options import AddOptions

__all__ = ["AddOptions", "add_entry"]
FOLDER = "data_catalog"


def add_entry(
    paths: Sequence[str | Path],
    name: str,
    licence: str,
    *,
    root: str | Path | None = None,
    options: AddOptions | None = None,
) -> list[Path]:
    """Add local files to a catalog as a data set: a STAC collection with one item per file.

    Footprint, CRS, bands, data type, nodata, pixel size and SHA-256 are read from the files. A
    missing catalog is created. Either all documents are written or none.

    Args:
        paths: rasters and polygon files.
        name: the id of the new entry.
        licence: an SPDX id, or "other".
        root: the catalog's folder; ``./data_catalog`` by default.
        options: title, date, classes and the like.

    Returns:
        The documents written: the items, the collection, the catalog.

    Raises:
        ConfigError: the name, licence or date is malformed, a date is missing, or files lie outside
            the catalog's folder.
        InputError: a file cannot be read or has no CRS.
        OutputError: the entry or one of its files exists already.
    """
    from geoseg.steps.catalog.inspection import inspect
    from geoseg.steps.catalog.stac_documents import collection_of, items_of
    from geoseg.steps.catalog.write_entry import catalog_with, place_of, write
    from geoseg.style import load_scheme

    options = options or AddOptions()
    _check(name, licence, options)
    folder = Path(root if root is not None else FOLDER)
    folder = (folder.parent if folder.suffix == ".json" else folder).resolve()
    catalog = catalog_with(folder, name)
    given = [Path(path).resolve() for path in paths]
    placed = {path: place_of(path, folder, name, copy_in=options.copy_in) for path in given}
    scheme = None if options.classes is None else load_scheme(options.classes)
    inspected = [inspect(path, labelled=scheme is not None, stated=options.date) for path in placed]
    items = items_of(inspected, placed, folder / name)
    collection = collection_of(inspected, name, licence, scheme, options)
    collection["links"] += [
        {"rel": "item", "href": f"./{each['id']}.json", "type": "application/json"}
        for each in items
    ]
    documents = {folder / name / f"{each['id']}.json": each for each in items}
    documents[folder / name / "collection.json"] = collection
    return write(documents, placed, folder, catalog)


def _check(name: str, licence: str, options: AddOptions) -> None:
    if not re.fullmatch(r"(?!\.)[A-Za-z0-9._-]{1,64}", name):
        wanted = "up to 64 letters, digits, dots, dashes and underscores"
        raise ConfigError("is not a valid id for an entry", got=name, wanted=wanted)
    if not re.fullmatch(r"[A-Za-z0-9.+-]+", licence):
        raise ConfigError("is not a licence id", got=licence, wanted="an SPDX id such as CC-BY-4.0")
    if licence == "other" and not options.license_url:
        raise ConfigError(
            "the licence needs the address of its text", got="other", fix="--license-url"
        )
