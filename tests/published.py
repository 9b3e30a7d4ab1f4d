"""A small map with everything that is published with it: scene, labels, model, polygons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray

import geoseg
from geoseg.classes import ClassScheme

SCHEME = ClassScheme.model_validate(
    {
        "column": "kind",
        "classes": [
            {"name": "Wälder & fields", "color": "#7fa650", "values": ["wood", 3]},
            {"name": 'water "deep" <1>', "color": "#2b83ba", "values": ["lake"]},
        ],
    }
)
HEIGHT, WIDTH = 96, 128
NORTH_UP = Affine(2.5, 0, 500_000, 0, -2.5, 5_000_000)
LAKE, HOLE, EMPTY = np.s_[20:60, 30:90], np.s_[35:45, 50:70], np.s_[:16, :24]


def truth() -> NDArray[np.uint8]:
    """Class ids, (96, 128): a lake of 40 x 60 px with an island of 10 x 20, an empty corner."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[LAKE] = 1
    ids[HOLE] = 0
    ids[EMPTY] = 255
    return ids


def make_map(folder: Path, *, crs: Any = "EPSG:32633", affine: Affine = NORTH_UP) -> Path:
    """A map in ``folder``/map of the scene beside it, which is `truth` to the pixel; polygons."""
    folder.mkdir(parents=True, exist_ok=True)
    write_scene(folder / "scene.tif", crs, affine)
    write_labels(folder / "labels.gpkg", crs, affine)
    model = folder / "model"
    model.mkdir()
    (model / "spec.json").write_text(spec())
    (made,) = geoseg.predict(
        folder / "scene.tif",
        model,
        folder / "map",
        options=geoseg.PredictOptions(gsd="scene"),
    )
    with rasterio.open(made / "classes.tif") as dataset:
        assert (dataset.read(1) == truth()).all()
    geoseg.vectorize(made / "classes.tif", folder / "landcover.gpkg")
    geoseg.vectorize(made / "classes.tif", folder / "landcover.geojson")
    return made


def write_scene(path: Path, crs: Any, affine: Affine) -> None:
    ids = truth()
    green, nir = np.where(ids == 1, 900, 300), np.where(ids == 1, 100, 900)
    pixels = np.stack([green, nir]).astype(np.uint16)
    pixels[:, ids == 255] = 0
    with rasterio.open(
        path, "w", driver="GTiff", count=2, height=HEIGHT, width=WIDTH, dtype="uint16", nodata=0,
        crs=crs, transform=affine,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
        dataset.descriptions = ("green", "nir")


def write_labels(path: Path, crs: Any, affine: Affine) -> None:
    corners = [affine @ corner for corner in ((30, 20), (90, 20), (90, 60), (30, 60))]
    lake = shapely.Polygon(corners)
    rows = {"kind": ["lake"], "geometry": [lake]}
    geopandas.GeoDataFrame(rows, crs=crs).to_file(path, layer="ground", driver="GPKG")


def spec() -> str:
    """A model that calls water what is brighter in green than near infrared."""
    from geoseg.models.saved.spec import ModelSpec

    return ModelSpec(
        architecture="threshold",
        bands=("green", "nir"),
        dtype="uint16",
        gsd_m=2.5,
        scheme=SCHEME,
        threshold={"index": "ndwi", "bands": ("green", "nir"), "at": 0.0},
    ).model_dump_json()
