"""The folder in which the examples of docstrings run.

An example that begins with ``import geoseg`` finds there what its reader would have:

    scene.tif       192 x 256 px of 10 m, bands blue, green, red, nir: land with a lake of 1 km2
    labels.gpkg     a polygon for each of both
    classes.yaml    their classes
    item.json       a STAC item with the bands green and nir
    chips/, model/, map/, landcover.gpkg    made of them, by a threshold on the NDWI
    pipeline.yaml   all steps in one file
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

import geoseg

BANDS = ("blue", "green", "red", "nir")
LAND, WATER = (700, 900, 1000, 3000), (600, 800, 500, 200)
"""Surface reflectance times 10 000, band by band: an NDWI of -0.5 on land, of 0.6 on water."""
SHAPE = 192, 256
LAKE = np.s_[40:140, 60:160]
GRID = Affine(10, 0, 500_000, 0, -10, 5_000_000)
CLASSES = """\
column: kind
classes:
  - {name: land, color: "#f2efe9", values: [land]}
  - {name: water, color: "#2b83ba", values: [lake]}
"""
PIPELINE = """\
scenes: [scene.tif]
labels: labels.gpkg
classes: classes.yaml
out: run
train: {architecture: threshold}
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let examples pass although odc-geo calls what shapely 2.1 has deprecated."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.add_marker(pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform"))


@pytest.fixture(autouse=True)
def _examples_run_in_a_folder(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = request.node
    if isinstance(item, pytest.DoctestItem) and "import geoseg\n" in (item.dtest.docstring or ""):
        monkeypatch.chdir(request.getfixturevalue("example_folder"))


@pytest.fixture(scope="session")
def example_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once for each worker: no example spoils what another one reads."""
    folder, before = tmp_path_factory.mktemp("examples"), Path.cwd()
    os.chdir(folder)
    try:
        _write_inputs(folder)
        chips = geoseg.tile("scene.tif", "labels.gpkg", "chips", classes="classes.yaml")
        model = geoseg.train(chips, "model", options=geoseg.TrainOptions(architecture="threshold"))
        geoseg.predict("scene.tif", model, "map")
        geoseg.vectorize("map/classes.tif", "landcover.gpkg")
    finally:
        os.chdir(before)
    return folder


def _write_inputs(folder: Path) -> None:
    import geopandas as gpd
    import shapely

    pixels = np.empty((len(BANDS), *SHAPE), np.uint16)
    pixels[:] = np.reshape(LAND, (-1, 1, 1))
    pixels[:, *LAKE] = np.reshape(WATER, (-1, 1, 1))
    noise = np.random.default_rng(0).integers(0, 50, pixels.shape, dtype=np.uint16)
    _write_raster(folder / "scene.tif", pixels + noise, BANDS)
    for band in ("green", "nir"):
        _write_raster(folder / f"{band}.tif", (pixels + noise)[[BANDS.index(band)]], (band,))
    rows, cols = LAKE
    west, north = GRID @ (cols.start, rows.start)
    east, south = GRID @ (cols.stop, rows.stop)
    everything = shapely.box(*GRID @ (0, SHAPE[0]), *GRID @ (SHAPE[1], 0))
    lake = shapely.box(west, south, east, north)
    labels = {"kind": ["land", "lake"], "geometry": [everything - lake, lake]}
    gpd.GeoDataFrame(labels, crs=32633).to_file(folder / "labels.gpkg", driver="GPKG")
    (folder / "classes.yaml").write_text(CLASSES, encoding="utf-8")
    (folder / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
    _write_item(folder)


def _write_raster(path: Path, pixels: np.ndarray, names: tuple[str, ...]) -> None:
    profile = {"driver": "GTiff", "dtype": "uint16", "crs": "EPSG:32633", "transform": GRID}
    height, width = SHAPE
    with rasterio.open(
        path, "w", count=len(pixels), height=height, width=width, nodata=0, **profile
    ) as dataset:
        dataset.write(pixels)
        dataset.descriptions = names


def _write_item(folder: Path) -> None:
    box = [15.0, 45.13, 15.03, 45.16]
    west, south, east, north = box
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "lake", "links": [], "bbox": box,
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.1.0/schema.json"],
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"datetime": "2024-06-01T10:00:00Z", "proj:epsg": 32633},
        "assets": {
            band: {
                "href": f"{band}.tif", "type": "image/tiff; application=geotiff",
                "proj:shape": SHAPE, "proj:transform": list(GRID)[:6],
                "raster:bands": [{"nodata": 0, "data_type": "uint16"}],
            }
            for band in ("green", "nir")
        },
    }  # fmt: skip
    (folder / "item.json").write_text(json.dumps(item), encoding="utf-8")
