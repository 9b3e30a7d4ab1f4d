"""The data sets of a catalog, as values."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoseg.catalog.tree import Document, links, local_path, walk
from geoseg.errors import CatalogError, UnsafeError

COMMERCIAL_USE, FETCH = "geoseg:commercial_use", "geoseg:fetch"
REMAP, SOURCES, UNKNOWN = "geoseg:remap", "geoseg:sources", "geoseg:unknown"
CLASSES = "classification:classes"


class CatalogBand(BaseModel):
    """A band: name, pixel size in metres where bands differ, central wavelength in micrometres."""

    model_config = ConfigDict(frozen=True)

    name: str
    gsd: float | None = None
    center_wavelength: float | None = Field(None, validation_alias="eo:center_wavelength")
    description: str | None = None


class CatalogClass(BaseModel):
    """A class: pixel value, name, colour as "rrggbb", and whether it means "no label"."""

    model_config = ConfigDict(frozen=True)

    value: int
    name: str
    title: str | None = None
    color_hint: str | None = None
    nodata: bool = False


class Fetch(BaseModel):
    """How to get a data set.

    Attributes:
        method: "command" (run ``how``), "stac-api" (search ``collection`` at ``url``),
            "download" (fetch ``url``), or "manual" (follow ``how``).
        how: instructions for people.
        url: address of the data or the API.
        collection: id of the collection at a STAC API.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["command", "stac-api", "download", "manual"]
    how: str
    url: str | None = None
    collection: str | None = None


class CatalogAsset(BaseModel):
    """A file of a data set.

    Attributes:
        href: as written in the catalog.
        path: the local file; None if it is on a server.
        checksum: multihash: ``1220`` and a SHA-256, or ``d50110`` and an MD5.
        size: in bytes, if known.
    """

    model_config = ConfigDict(frozen=True)

    href: str
    path: Path | None = None
    type: str | None = None
    roles: tuple[str, ...] = ()
    checksum: str | None = None
    size: int | None = None


class Entry(BaseModel):
    """A data set of the catalog.

    Attributes:
        id: the name that `show` and `fetch` take.
        kind: a collection, or an item of one.
        license: SPDX id, or "other" with the text at ``license_url``.
        commercial_use: "yes", "no", or "see source" if unclear.
        gsd_m: ground sampling distances in metres.
        bands: bands of its images.
        classes: classes of its labels.
        remap: by id of another entry, the class value there of each value here.
        fetch: how to get it.
        sources: where these facts come from, unless obvious.
        unknown: facts that could not be found out.
        collection: id of the collection an item belongs to.
        assets: its files, by key.
        path: the document that describes it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: Literal["collection", "item"]
    title: str
    description: str
    license: str
    license_url: str | None
    commercial_use: Literal["yes", "no", "see source"]
    providers: tuple[str, ...]
    gsd_m: tuple[float, ...]
    bands: tuple[CatalogBand, ...]
    classes: tuple[CatalogClass, ...]
    remap: dict[str, dict[int, int]]
    fetch: Fetch | None
    sources: tuple[str, ...]
    unknown: tuple[str, ...]
    collection: str | None
    assets: dict[str, CatalogAsset]
    path: Path


def list_entries(root: str | Path | None = None) -> tuple[Entry, ...]:
    """List the data sets of a catalog.

    Args:
        root: the catalog's folder or its catalog.json; `default_root` if None.

    Raises:
        CatalogError: a document cannot be read or lacks what an entry needs.
    """
    tree = walk(root)
    if tree.problems:
        raise CatalogError(
            " | ".join(map(str, tree.problems)), where=tree.folder, fix="geoseg catalog validate"
        )
    data_sets = [each for each in tree.documents if each.content["type"] != "Catalog"]
    return tuple(_entry(each, tree.folder) for each in data_sets)


def show(root: str | Path | None, name: str) -> Entry:
    """Return the data set with the id ``name``.

    Raises:
        CatalogError: the catalog cannot be read, or has no such data set; lists those it has.
    """
    entries = list_entries(root)
    for each in entries:
        if each.id == name:
            return each
    names = [each.id for each in entries]
    close = get_close_matches(name, names, n=1)
    raise CatalogError(
        f"has no data set {name!r}",
        where=root or "the data catalog",
        fix=f"did you mean {close[0]!r}?" if close else f"name one of: {', '.join(names)}",
    )


def _entry(document: Document, folder: Path) -> Entry:
    content = document.content
    facts = _facts(document)
    licence = next((href for rel, href in links(facts) if rel == "license"), None)
    try:
        return Entry(
            id=content["id"],
            kind="collection" if content["type"] == "Collection" else "item",
            title=facts.get("title") or content["id"],
            description=facts.get("description") or "",
            license=facts["license"],
            license_url=licence,
            commercial_use=facts.get(COMMERCIAL_USE, "see source"),
            providers=tuple(each["name"] for each in facts.get("providers", [])),
            gsd_m=_numbers(facts.get("gsd")),
            bands=facts.get("bands") or (),
            classes=facts.get(CLASSES) or (),
            remap=facts.get(REMAP) or {},
            fetch=facts.get(FETCH),
            sources=facts.get(SOURCES) or (),
            unknown=facts.get(UNKNOWN) or (),
            collection=content.get("collection"),
            assets=_assets(document, folder),
            path=document.path,
        )
    except (ValidationError, KeyError, TypeError, AttributeError, UnsafeError) as error:
        raise CatalogError(
            "does not describe a data set",
            where=document.path,
            got=repr(error) if isinstance(error, KeyError) else error,
            fix="geoseg catalog validate lists all problems",
        ) from error


def _facts(document: Document) -> dict[str, Any]:
    """Fields from wherever STAC allows them; an item inherits what it lacks from its collection."""
    content = document.content
    inherited = {}
    if content["type"] == "Feature" and document.parent is not None:
        inherited = _facts(document.parent)
        inherited.pop("title", None)
    own = {**content.get("summaries", {}), **content, **content.get("properties", {})}
    return {**inherited, **own}


def _numbers(gsd: Any) -> tuple[float, ...]:
    if isinstance(gsd, dict):
        return float(gsd["minimum"]), float(gsd["maximum"])
    values = gsd if isinstance(gsd, list) else [] if gsd is None else [gsd]
    return tuple(float(value) for value in values)


def _assets(document: Document, folder: Path) -> dict[str, CatalogAsset]:
    return {
        name: CatalogAsset(
            href=each["href"],
            path=local_path(each["href"], document.path, folder),
            type=each.get("type"),
            roles=tuple(each.get("roles", ())),
            checksum=each.get("file:checksum"),
            size=each.get("file:size"),
        )
        for name, each in document.content.get("assets", {}).items()
    }
