"""The whole way on real imagery: three sensors, three kinds of labels, scored on held-out ground.

The baselines are those of the data's own documentation: a forest of decision trees on pixels
(Sentinel-2, by polygon), a U-Net trained as long (drone, west to east).
"""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

import geoseg
from geoseg.vector import rasterize, read_polygons

CONFIGS = Path(__file__).parents[1] / "configs"
DATA = Path(__file__).parents[3] / "shared" / "data" / "pairs"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the real pairs are not on this machine"),
]


@pytest.mark.parametrize(
    ("name", "least", "polygons"),
    [
        ("rcr", 0.60, "landcover.geojson"),
        pytest.param("kampala", 0.62, "buildings.geojson", marks=pytest.mark.long),
        pytest.param("sen1floods11", 0.65, "water.gpkg", marks=pytest.mark.long),
    ],
)
def test_a_real_pair_is_mapped_better_than_by_its_commonest_class(
    name: str, least: float, polygons: str, tmp_path: Path
) -> None:
    out = tmp_path / name
    made = geoseg.run(CONFIGS / f"{name}.yaml", settings=[f"out={out.as_posix()}"])
    assert made[-1].name == "overview.png"
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    print(name, report["miou"], report["majority"]["miou"], report["n_pixels"])
    assert report["miou"] >= least
    assert report["miou"] > report["majority"]["miou"]
    layers = [path for path in made if path.name == polygons]
    assert layers
    for layer in layers:
        _check_polygons(layer)


def _check_polygons(layer: Path) -> None:
    land_map = layer.parent / "map" if (layer.parent / "map").is_dir() else None
    land_map = land_map or layer.parents[1] / "map" / layer.parent.name
    frame = gpd.read_file(layer, layer=0)
    assert frame.geometry.is_valid.all()
    if layer.suffix == ".geojson":
        assert frame.crs.to_epsg() == 4326
        exteriors = shapely.get_exterior_ring(shapely.get_parts(frame.geometry.to_numpy()))
        assert shapely.is_ccw(exteriors).all()
    with rasterio.open(land_map / "classes.tif") as dataset:
        pixels = int((dataset.read(1) != 255).sum())
    assert frame["n_pixels"].sum() == pixels
    assert np.isfinite(frame["area_m2"]).all()


def test_polygons_of_a_real_map_burn_back_to_the_map(tmp_path: Path) -> None:
    from geoseg.raster import FileSource
    from geoseg.style import load_scheme

    raster = DATA.parent / "vectorize" / "class_rasters" / "landcover_map_l3.tif"
    polygons = geoseg.vectorize(raster, tmp_path / "landcover.gpkg")
    source = FileSource(raster)
    scheme = load_scheme(raster)
    by_id = scheme.model_copy(
        update={
            "column": "class_id",
            "classes": tuple(
                each.model_copy(update={"values": (i,)}) for i, each in enumerate(scheme.classes)
            ),
        }
    )
    burnt = rasterize(read_polygons(polygons, by_id, crs=source.geobox.crs), source.geobox)
    with rasterio.open(raster) as dataset:
        codes = dataset.read(1)
    known = burnt != 255
    assert np.array_equal(known, codes != 0)
    ids = scheme.look_up(np.unique(codes[known]).tolist()).ids
    assert np.array_equal(burnt[known], ids[np.searchsorted(np.unique(codes[known]), codes[known])])
