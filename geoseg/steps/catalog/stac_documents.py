"""The STAC documents of a new entry."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import shapely

from geoseg.catalog import multihash
from geoseg.classes import ClassScheme
from geoseg.errors import ConfigError
from geoseg.steps.catalog.inspection import SHAPEFILE_PARTS, Inspected, sidecars
from geoseg.steps.catalog.options import AddOptions

EXTENSIONS = [
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
]
MEDIA = {
    ".tif": "image/tiff; application=geotiff", ".tiff": "image/tiff; application=geotiff",
    ".png": "image/png", ".jp2": "image/jp2", ".jpg": "image/jpeg", ".jpeg": "image/jpeg",
    ".gpkg": "application/geopackage+sqlite3", ".geojson": "application/geo+json",
    ".fgb": "application/vnd.flatgeobuf", ".parquet": "application/vnd.apache.parquet",
}  # fmt: skip


def items_of(
    inspected: list[Inspected], placed: Mapping[Path, Path], folder: Path
) -> list[dict[str, Any]]:
    """A STAC item for each file.

    Args:
        inspected: the files and their metadata.
        placed: path at which the catalog holds each file.
        folder: the folder of the entry, whose name is its id.

    Raises:
        ConfigError: two files would have the same id.
    """
    names = _names([each.path for each in inspected])
    return [
        {
            "type": "Feature", "stac_version": "1.1.0", "stac_extensions": EXTENSIONS[1:],
            "id": f"{folder.name}-{name}", "collection": folder.name,
            "geometry": shapely.geometry.mapping(each.footprint),
            "bbox": list(shapely.bounds(each.footprint)),
            "properties": _properties(each),
            "links": [
                *_links(parent="./collection.json"),
                {"rel": "collection", "href": "./collection.json", "type": "application/json"},
            ],
            "assets": dict(_assets(each, placed[each.path], folder)),
        }
        for name, each in zip(names, inspected, strict=True)
    ]  # fmt: skip


def collection_of(
    inspected: list[Inspected],
    name: str,
    licence: str,
    scheme: ClassScheme | None,
    options: AddOptions,
) -> dict[str, Any]:
    """The STAC collection, without links to its items.

    Raises:
        ConfigError: there are only labels, and no classes for them.
    """
    imagery = [each for each in inspected if each.role == "data"]
    summaries = {
        "gsd": sorted({each.gsd for each in inspected if each.gsd is not None}),
        "proj:code": sorted({each.code for each in inspected if each.code is not None}),
        "bands": _bands(imagery[0]) if imagery else [],
        "classification:classes": list(_rows(scheme)) if scheme else [],
    }
    if not imagery and scheme is None:
        raise ConfigError("labels alone need their classes", got=name, fix="--classes")
    title, how = options.title or name, f"geoseg catalog fetch {name} --to DIR copies the files."
    licence_link = [{"rel": "license", "href": options.license_url}] if options.license_url else []
    return {
        "type": "Collection", "stac_version": "1.1.0", "stac_extensions": EXTENSIONS,
        "id": name, "title": title, "description": options.description or title,
        "license": licence, "geoseg:commercial_use": options.commercial_use,
        "geoseg:fetch": {"method": "download", "how": how},
        **({} if summaries["gsd"] else {"geoseg:unknown": ["gsd"]}),
        "extent": {
            "spatial": {"bbox": [list(shapely.union_all([e.footprint for e in inspected]).bounds)]},
            "temporal": {
                "interval": [[min(e.span[0] for e in inspected), max(e.span[1] for e in inspected)]]
            },
        },
        "summaries": {key: value for key, value in summaries.items() if value},
        "links": [*_links(parent="../catalog.json"), *licence_link],
    }  # fmt: skip


def _names(paths: list[Path]) -> list[str]:
    """Item ids: file stems, with the extension added where stems repeat.

    Raises:
        ConfigError: two files still have the same id.
    """
    stems = [_slug(path.stem) for path in paths]
    often = Counter(stems)
    names = [
        s if often[s] == 1 else f"{s}_{p.suffix[1:]}" for s, p in zip(stems, paths, strict=True)
    ]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError("two files have the same name", got=twice[0], fix="rename one")
    return names


def _properties(each: Inspected) -> dict[str, Any]:
    start, end = each.span
    moment = {"datetime": start} if start == end else {
        "datetime": None, "start_datetime": start, "end_datetime": end
    }  # fmt: skip
    crs: dict[str, Any] = {"proj:code": each.code}
    if each.code is None:
        crs["proj:projjson"] = each.crs.to_json_dict()
    if each.source is None:
        return {**moment, "title": each.path.name, **crs}
    geobox = each.source.geobox
    pixels = {"proj:shape": list(geobox.shape), "proj:transform": list(geobox.affine)[:6]}
    return {**moment, "title": each.path.name, "gsd": each.gsd, **crs, **pixels}


def _assets(each: Inspected, place: Path, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The file and its sidecars: parts of a shapefile, and .aux.xml."""
    raster: dict[str, Any] = {}
    if each.source is not None:
        raster = {"bands": _bands(each), "data_type": str(each.source.dtype)}
        nodata = {band.nodata for band in each.source.bands}
        if len(nodata) == 1 and nodata != {None}:
            raster["nodata"] = nodata.pop()
    yield each.role, _asset(each.path, place, folder, each.role) | raster
    for path in sidecars(each.path):
        key = path.suffix[1:] if path.suffix in SHAPEFILE_PARTS else "metadata"
        yield key, _asset(path, place.with_name(path.name), folder, "metadata")


def _asset(path: Path, place: Path, folder: Path, role: str) -> dict[str, Any]:
    media = MEDIA.get(path.suffix.lower())
    return {
        "href": place.relative_to(folder, walk_up=True).as_posix(),
        **({"type": media} if media else {}),
        "roles": [role],
        "file:size": path.stat().st_size,
        "file:checksum": multihash.of_file(path),
    }


def _bands(each: Inspected) -> list[dict[str, Any]]:
    assert each.source is not None, "images are rasters"
    return [{"name": band.name} for band in each.source.bands]


def _rows(scheme: ClassScheme) -> Iterator[dict[str, Any]]:
    """The classes in STAC's classification extension, one per numeric label code.

    A class without one gets its id as value.
    """
    for index, each in enumerate(scheme.classes):
        numbers = [int(value) for value in each.values if str(value).lstrip("-").isdigit()]
        name = _slug(each.name) or f"class_{index}"
        for value in numbers or [index]:
            yield {
                "value": value, "name": name if len(numbers) < 2 else f"{name}_{value}",
                "title": each.name, "color_hint": each.color[1:7],
            }  # fmt: skip


def _links(parent: str) -> list[dict[str, str]]:
    targets = (("root", "../catalog.json"), ("parent", parent))
    return [{"rel": rel, "href": href, "type": "application/json"} for rel, href in targets]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_")[:48]
