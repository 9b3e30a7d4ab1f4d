"""STAC: an item for a map, items for its models, and their collection."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
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
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import DataType, RasterBand, RasterExtension, Sampling

from geoseg import files, grid
from geoseg.classes import IGNORE
from geoseg.layout import CLASSES, CONFIDENCE, STAC_COLLECTION, STAC_ITEM
from geoseg.maps.contents import Contents
from geoseg.maps.links import href
from geoseg.metadata.record_fields import (
    acquired_at,
    bbox,
    classification,
    finished_at,
    footprint,
    lineage,
    listed_files,
    record_id,
)
from geoseg.metadata.stac_model import model_items

PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"


def write_stac(contents: Contents) -> list[Path]:
    """Write a STAC item for a map, one for each model that made it, and their collection.

    Returns:
        item.json, collection.json and the items of the models.

    Raises:
        GridError: the map's CRS is not tied to the ground.
        RasterError: the imagery cannot be read.
        OutputError: the folder cannot be written to.
        RetryError: the disk is full.
    """
    item, models = _item(contents), model_items(contents, record_id(contents))
    collection = _collection(contents, item)
    for name in (STAC_ITEM, *models):
        collection.add_link(Link("item", f"./{name}", MediaType.GEOJSON))
    for described in (item, *models.values()):
        described.collection_id = collection.id
        for relation in ("root", "parent", "collection"):
            described.add_link(Link(relation, f"./{STAC_COLLECTION}", MediaType.JSON))
    for name in models:
        item.add_link(Link("derived_from", f"./{name}", MediaType.GEOJSON))
    written: dict[str, STACObject] = {STAC_ITEM: item, STAC_COLLECTION: collection, **models}
    for name, each in written.items():
        # No self links: these are absolute, and wrong once the folder is moved.
        content = each.to_dict(include_self_link=False, transform_hrefs=False)
        files.write_json(contents.folder / name, content)
    return [contents.folder / name for name in written]


def _item(contents: Contents) -> Item:
    geometry = footprint(contents)
    item = Item(
        record_id(contents), shapely.geometry.mapping(geometry), bbox(geometry),
        acquired_at(contents),
        {"title": contents.title, "created": _text(finished_at(contents)), **_processing(contents)},
    )  # fmt: skip
    item.stac_extensions.append(PROCESSING)
    _project(contents, item)
    for each in listed_files(contents):
        link = href(each.path, contents.folder)
        item.add_asset(each.key, Asset(link, each.title, media_type=each.media, roles=[each.role]))
    _describe_rasters(contents, item)
    if contents.imagery is not None and isinstance(contents.imagery.path, Path):
        scene = href(contents.imagery.path, contents.folder)
        item.add_link(Link("via", scene, title="the scene that was mapped"))
    return item


def _processing(contents: Contents) -> dict[str, Any]:
    software = dict(contents.record.versions) if contents.record else {}
    return {"processing:lineage": lineage(contents), "processing:software": software}


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


def _describe_rasters(contents: Contents, item: Item) -> None:
    """Add bands and classes to the rasters, and checksums to rasters and polygons."""
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
    classes = classification(contents.scheme, dict(pixels))
    ClassificationExtension.ext(item.assets["classes"], add_if_missing=True).apply(classes)
    known = dict(contents.record.outputs) if contents.record else {}
    for each in listed_files(contents):
        if each.role == "data":
            digest = known.get(each.path.name) or files.sha256(each.path)
            described = FileExtension.ext(item.assets[each.key], add_if_missing=True)
            # A multihash: 12 is sha2-256, and 20 its length of 32 bytes.
            described.apply(checksum=f"1220{digest}", size=each.path.stat().st_size)


def _resolution(contents: Contents) -> float:
    """Width of a pixel in units of the CRS."""
    a, _, _, d, *_ = contents.geobox.affine
    return float(np.hypot(a, d))


def _collection(contents: Contents, item: Item) -> Collection:
    assert item.bbox is not None, "a map has a place"
    producer = contents.description.credits
    code = item.properties.get("proj:code")
    collection = Collection(
        f"{item.id}-collection",
        f"{contents.title}: a map of {', '.join(contents.scheme.names)}.",
        Extent(SpatialExtent([item.bbox]), TemporalExtent([[item.datetime, item.datetime]])),
        title=contents.title,
        license=contents.description.license,
        providers=[Provider(producer, roles=[ProviderRole.PRODUCER])] if producer else None,
        summaries=Summaries({"proj:code": [code]} if code else {}),
    )
    collection.item_assets = {
        key: ItemAssetDefinition.create(
            title=asset.title, description=None, media_type=asset.media_type, roles=asset.roles
        )
        for key, asset in item.assets.items()
    }
    collection.add_link(Link("root", f"./{STAC_COLLECTION}", MediaType.JSON))
    return collection


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
