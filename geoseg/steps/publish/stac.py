"""STAC: what a catalog has to know of a map, of the files beside it, and of the model."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from pystac import (
    Asset,
    Collection,
    Extent,
    Item,
    ItemAssetDefinition,
    Link,
    MediaType,
    Provider,
    ProviderRole,
    SpatialExtent,
    STACObject,
    Summaries,
    TemporalExtent,
)
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import DataType, RasterBand, RasterExtension, Sampling

from geoseg import files, grid
from geoseg.classes import IGNORE, ClassScheme
from geoseg.raster.drivers import driver_of
from geoseg.steps.publish.contents import CLASSES, CONFIDENCE, RECORD, SCHEME, Contents
from geoseg.steps.publish.qgis import DEFINITION, PROJECT
from geoseg.vector.lonlat import rounded, to_lonlat

ITEM, COLLECTION = "item.json", "collection.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
MEDIA = {
    ".gpkg": MediaType.GEOPACKAGE, ".geojson": MediaType.GEOJSON, ".fgb": MediaType.FLATGEOBUF,
    ".parquet": MediaType.PARQUET, ".geojsonl": "application/geo+json-seq",
    ".ndjson": "application/geo+json-seq", ".yaml": "application/yaml", ".json": MediaType.JSON,
    ".qgz": "application/zip", ".qlr": MediaType.XML,
}  # fmt: skip
FOOTPRINT_DEG = 1e-6
"""How far the drawn frame may lie off the true one: a tenth of a metre."""
TAGS = (("IMAGERY", "ACQUISITIONDATETIME"), (None, "TIFFTAG_DATETIME"))
"""Where GeoTIFFs say when they were taken."""


def write_stac(contents: Contents) -> list[Path]:
    """Write a STAC item for a map, one for each model that made it, and their collection.

    Returns:
        item.json, collection.json and the model files.
    """
    from geoseg.steps.publish.stac_model import model_items

    item, models = _item(contents), model_items(contents, name_of(contents))
    collection = _collection(contents, item)
    for name in (ITEM, *models):
        collection.add_link(Link("item", f"./{name}", MediaType.GEOJSON))
    for described in (item, *models.values()):
        described.collection_id = collection.id
        for relation in ("root", "parent", "collection"):
            described.add_link(Link(relation, f"./{COLLECTION}", MediaType.JSON))
    for name in models:
        item.add_link(Link("derived_from", f"./{name}", MediaType.GEOJSON))
    written: dict[str, STACObject] = {ITEM: item, COLLECTION: collection, **models}
    for name, each in written.items():
        content = each.to_dict(include_self_link=False, transform_hrefs=False)
        files.write_json(contents.folder / name, content)
    return [contents.folder / name for name in written]


def name_of(contents: Contents) -> str:
    """An id that no other map has: the folder's name and the run that made it."""
    run = contents.record.key[:12] if contents.record else ""
    return "-".join(filter(None, (slug(contents.folder.resolve().name), run)))


def slug(text: str) -> str:
    """A name of letters, digits, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_") or "map"


def classes_of(scheme: ClassScheme, counts: dict[str, int]) -> list[Classification]:
    """The classes, with what has no class among them."""
    names = [slug(name) for name in scheme.names]
    names = [name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names)]
    return [
        *(
            Classification.create(
                value=i, name=names[i], title=each.name, description=each.name,
                color_hint=each.color[1:7].upper(), count=counts.get(each.name),
            )
            for i, each in enumerate(scheme.classes)
        ),
        Classification.create(
            value=IGNORE, name="no_data", description="not mapped", nodata=True
        ),
    ]  # fmt: skip


def href(path: Path, folder: Path) -> str:
    """Where a file lies, seen from the map's folder."""
    try:
        relative = Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_uri()
    return relative if relative.startswith("..") else f"./{relative}"


def finished(contents: Contents) -> datetime:
    """When the map was made."""
    if contents.record is not None and contents.record.finished:
        return datetime.fromisoformat(contents.record.finished)
    return datetime.fromtimestamp((contents.folder / CLASSES).stat().st_mtime, UTC)


def _item(contents: Contents) -> Item:
    geometry = _footprint(contents)
    item = Item(
        name_of(contents), shapely.geometry.mapping(geometry), _bbox(geometry), taken(contents),
        {"title": contents.title, "created": _text(finished(contents)), **_processing(contents)},
    )  # fmt: skip
    item.stac_extensions.append(PROCESSING)
    _project(contents, item)
    for name, asset in _assets(contents):
        item.add_asset(name, asset)
    _describe_rasters(contents, item)
    if contents.imagery is not None and isinstance(contents.imagery.path, Path):
        scene = href(contents.imagery.path, contents.folder)
        item.add_link(Link("via", scene, title="the scene that was mapped"))
    return item


def taken(contents: Contents) -> datetime:
    """When the scene was taken, as the user or the scene says; else when it was mapped."""
    if contents.options.date:
        return datetime.fromisoformat(contents.options.date)
    if contents.imagery is not None and isinstance(contents.imagery.path, Path):
        path = contents.imagery.path
        with rasterio.open(path.absolute(), driver=driver_of(path)) as dataset:
            stated = [dataset.tags(ns=space).get(tag, "") for space, tag in TAGS]
        for text in stated:
            found = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", text)
            if found and found[1] != "0000":
                year, month, day, hour, minute, second = map(int, found.groups())
                return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return finished(contents)


def _footprint(contents: Contents) -> shapely.Geometry:
    frame = np.array([contents.geobox.extent.geom])
    drawn = to_lonlat(frame, grid.crs_of(contents.geobox).proj)
    return rounded(shapely.simplify(drawn, FOOTPRINT_DEG))[0]


def _bbox(geometry: shapely.Geometry) -> list[float]:
    """West, south, east, north; west is more than east across the antimeridian (RFC 7946, 5.2)."""
    boxes = shapely.bounds(shapely.get_parts(geometry))
    west, south, east, north = shapely.bounds(geometry).tolist()
    if len(boxes) > 1 and west == -180 and east == 180:
        west, east = boxes[boxes[:, 2] == 180, 0].min(), boxes[boxes[:, 0] == -180, 2].max()
    return [float(west), float(south), float(east), float(north)]


def _processing(contents: Contents) -> dict[str, Any]:
    record = contents.record
    models = ", ".join(_model_name(each) for each in contents.models)
    text = f"Every pixel mapped by {models or 'a model'}; classes, and how sure it was in percent."
    software = dict(record.versions) if record else {}
    return {"processing:lineage": text, "processing:software": software}


def _model_name(spec: Any) -> str:
    return " ".join(filter(None, (str(spec["architecture"]), spec.get("backbone"))))


def _project(contents: Contents, item: Item) -> None:
    crs = grid.crs_of(contents.geobox).proj
    authority = crs.to_authority(min_confidence=100)
    affine = contents.geobox.affine
    ProjectionExtension.ext(item, add_if_missing=True).apply(
        code=":".join(authority) if authority else None,
        projjson=None if authority else crs.to_json_dict(),
        bbox=list(grid.bounds(contents.geobox)),
        shape=list(contents.geobox.shape),
        transform=[affine.a, affine.b, affine.c, affine.d, affine.e, affine.f],
    )


def _assets(contents: Contents) -> Iterator[tuple[str, Asset]]:
    folder = contents.folder
    for name in contents.rasters:
        title = Path(name).stem.capitalize()
        yield Path(name).stem, Asset(f"./{name}", title, media_type=MediaType.COG, roles=["data"])
    for each in contents.polygons:
        key = slug(f"{each.path.stem}_{each.path.suffix[1:]}")
        media = MEDIA.get(each.path.suffix.lower())
        yield key, Asset(href(each.path, folder), "Polygons", media_type=media, roles=["data"])
    for key, name, title, role in (
        ("project", PROJECT, "QGIS project", "visual"),
        ("layers", DEFINITION, "QGIS layer definition", "visual"),
        ("scheme", SCHEME, "Class file", "metadata"),
        ("run", RECORD, "What the map was made from", "metadata"),
    ):
        if (folder / name).is_file():
            media = MEDIA[Path(name).suffix]
            yield key, Asset(f"./{name}", title, media_type=media, roles=[role])


def _describe_rasters(contents: Contents, item: Item) -> None:
    """Bands, classes and checksums of the rasters; checksums of the polygons."""
    band = RasterBand.create(
        nodata=IGNORE, sampling=Sampling.AREA, data_type=DataType.UINT8,
        spatial_resolution=_resolution(contents),
    )  # fmt: skip
    for name in contents.rasters:
        asset = item.assets[Path(name).stem]
        count = len(contents.scheme.classes) if name not in (CLASSES, CONFIDENCE) else 1
        unit = None if name == CLASSES else "%"
        bands = [RasterBand({**band.to_dict(), **({"unit": unit} if unit else {})})] * count
        RasterExtension.ext(asset, add_if_missing=True).apply(bands)
    pixels = contents.record.counts.get("pixels", {}) if contents.record else {}
    classes = classes_of(contents.scheme, dict(pixels))
    ClassificationExtension.ext(item.assets["classes"], add_if_missing=True).apply(classes)
    known = dict(contents.record.outputs) if contents.record else {}
    for asset in item.assets.values():
        if "data" in (asset.roles or ()):
            path = contents.folder / asset.href
            digest = known.get(asset.href.removeprefix("./")) or files.sha256(path)
            described = FileExtension.ext(asset, add_if_missing=True)
            described.apply(checksum=f"1220{digest}", size=path.stat().st_size)


def _resolution(contents: Contents) -> float:
    """Side of a pixel in the units of the CRS."""
    a, _, _, d, *_ = contents.geobox.affine
    return float(np.hypot(a, d))


def _collection(contents: Contents, item: Item) -> Collection:
    assert item.bbox is not None, "a map has a place"
    producer = contents.options.credits
    code = item.properties.get("proj:code")
    collection = Collection(
        f"{item.id}-collection",
        f"{contents.title}: a map of {', '.join(contents.scheme.names)}.",
        Extent(SpatialExtent([item.bbox]), TemporalExtent([[item.datetime, item.datetime]])),
        title=contents.title,
        license=contents.options.license,
        providers=[Provider(producer, roles=[ProviderRole.PRODUCER])] if producer else None,
        summaries=Summaries({"proj:code": [code]} if code else {}),
    )
    collection.item_assets = {
        key: ItemAssetDefinition.create(
            title=asset.title, description=None, media_type=asset.media_type, roles=asset.roles
        )
        for key, asset in item.assets.items()
    }
    collection.add_link(Link("root", f"./{COLLECTION}", MediaType.JSON))
    return collection


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
