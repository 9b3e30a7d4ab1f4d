"""Local files as an entry of a data catalog."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from geoseg.errors import ConfigError
from geoseg.options import Options

__all__ = ["AddOptions", "add_entry"]
FOLDER = "data_catalog"


class AddOptions(Options):
    """Options of `add_entry`."""

    title: str = ""
    """Title of the data set; its name when not given."""

    description: str = ""
    """What it is; the title when not given."""

    commercial_use: Literal["yes", "no", "see source"] = "see source"
    """Whether the licence allows commercial use."""

    license_url: str | None = None
    """Where the licence stands; required where it is "other"."""

    date: str | None = None
    """When the data were taken: 2024-05-31, or first and last day as 2024-05-01/2024-05-31."""

    classes: Path | None = None
    """Class file of the labels; single-band rasters are taken for labels then."""

    copy_in: bool = False
    """Copy files that lie outside of the catalog's folder into it."""


def add_entry(
    paths: Sequence[str | Path],
    name: str,
    licence: str,
    *,
    root: str | Path | None = None,
    options: AddOptions | None = None,
) -> list[Path]:
    """Describe local files as a data set of a catalog: a STAC collection with an item per file.

    Footprint, CRS, bands, data type, nodata, pixel size and sha256 come from the files. The
    catalog is made if there is none. All documents appear, or none.

    Args:
        paths: rasters and polygon files.
        name: the id of the new entry.
        licence: an SPDX id, or "other".
        root: the catalog's folder; ``data_catalog`` in the current one when not given.
        options: title, dates, classes.

    Returns:
        The documents written: the items, the collection, the catalog.

    Raises:
        ConfigError: the name, licence or date is none, or files lie outside of the catalog.
        InputError: a file cannot be read, or does not say where it lies.
        OutputError: there is such an entry already, or a file stands in the way.
    """
    from geoseg.steps.catalog.inspection import look
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
    looked = [look(path, labelled=scheme is not None, stated=options.date) for path in placed]
    items = items_of(looked, placed, folder / name)
    collection = collection_of(looked, name, licence, scheme, options)
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
        raise ConfigError("is no name for an entry", got=name, wanted=wanted)
    if not re.fullmatch(r"[A-Za-z0-9.+-]+", licence):
        raise ConfigError("is no licence", got=licence, wanted="an SPDX id such as CC-BY-4.0")
    if licence == "other" and not options.license_url:
        raise ConfigError("which licence is it?", got="other", fix="--license-url")
