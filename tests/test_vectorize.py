"""Class rasters to layers that open styled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pydantic import ValidationError

from geoseg import style
from geoseg.classes import ClassScheme
from geoseg.errors import ClassError, OutputError
from geoseg.steps.vectorize import VectorizeOptions, vectorize
from geoseg.vector import rasterize, read_polygons

SCHEME = ClassScheme.model_validate(
    {
        "classes": [
            {"name": "land", "color": "#ffffff"},
            {"name": "water", "color": "#2b83ba", "values": [7]},
            {"name": "wood", "color": "#1a9641"},
        ]
    }
)
AFFINE = Affine(10.0, 0, 465180.0, 0, -10.0, 5080250.0)


def patches() -> NDArray[np.uint8]:
    rng = np.random.default_rng(7)
    values = rng.integers(0, 3, (12, 16), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    values[:20, 100:] = 255
    return values


def write_tif(path: Path, values: NDArray[Any]) -> Path:
    height, width = values.shape
    profile = {"driver": "GTiff", "count": 1, "dtype": values.dtype, "nodata": 255, "crs": 32633}
    with rasterio.open(
        path, "w", height=height, width=width, transform=AFFINE, **profile
    ) as dataset:
        dataset.write(values, 1)
    return path


def read(path: Path) -> geopandas.GeoDataFrame:
    if path.suffix == ".parquet":
        return geopandas.read_parquet(path)
    return geopandas.read_file(path, layer="landcover" if path.suffix == ".gpkg" else None)


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb", ".parquet"])
def test_polygons_have_names_and_numbers_and_a_style_beside_them(
    tmp_path: Path, suffix: str
) -> None:
    classes = write_tif(tmp_path / "classes.tif", patches())
    write_tif(tmp_path / "confidence.tif", np.full((96, 128), 80, np.uint8))
    out = vectorize(classes, tmp_path / "out" / f"landcover{suffix}", scheme=SCHEME)
    frame = read(out)
    assert list(frame.columns[:-1]) == [
        "class_id", "class_name", "area_m2", "perimeter_m", "confidence", "n_pixels", "source",
        "run",
    ]  # fmt: skip
    assert {*zip(frame["class_id"], frame["class_name"], strict=True)} == {
        (0, "land"), (1, "water"), (2, "wood"),
    }  # fmt: skip
    assert frame["n_pixels"].sum() == 96 * 128 - 20 * 28
    assert (frame["area_m2"] == frame["n_pixels"] * 100).all()
    assert (frame["confidence"] == 80).all() and (frame["source"] == "classes.tif").all()
    assert style.load_scheme(out.with_suffix(".qml")).names == SCHEME.names


def test_the_geopackage_alone_is_enough_to_get_the_map_back(tmp_path: Path) -> None:
    classes = write_tif(tmp_path / "classes.tif", patches())
    out = vectorize(classes, tmp_path / "landcover.gpkg", scheme=SCHEME)
    again = read_polygons(out, style.load_scheme(out), crs="EPSG:32633")
    assert np.array_equal(rasterize(again, GeoBox((96, 128), AFFINE, "EPSG:32633")), patches())


def test_a_class_file_beside_the_raster_says_what_the_pixels_mean(tmp_path: Path) -> None:
    classes = write_tif(tmp_path / "classes.tif", patches())
    rows = (f"{{name: {name}, color: '#{name * 6}'}}" for name in "abc")
    text = f"classes: [{', '.join(rows)}]"
    (tmp_path / "classes.yaml").write_text(text, encoding="utf-8")
    frame = read(vectorize(classes, tmp_path / "o.gpkg"))
    assert set(frame["class_name"]) == {"a", "b", "c"} and frame["confidence"].isna().all()


def test_a_raster_from_elsewhere_says_it_in_its_own_table(tmp_path: Path) -> None:
    classes = write_tif(tmp_path / "classes.tif", np.array([[10, 10, 80], [10, 80, 80]], np.uint8))
    table = style.raster_pam(SCHEME).replace("<F>0</F><F>land", "<F>10</F><F>land")
    table = table.replace("<F>1</F><F>water", "<F>80</F><F>water")
    (tmp_path / "classes.tif.aux.xml").write_text(table, encoding="utf-8")
    frame = read(vectorize(classes, tmp_path / "o.gpkg"))
    assert frame[["class_id", "class_name"]].to_numpy().tolist() == [[0, "land"], [1, "water"]]


def test_pixel_values_without_a_class_are_listed(tmp_path: Path) -> None:
    classes = write_tif(tmp_path / "classes.tif", np.array([[0, 7, 7], [9, 0, 0]], np.uint8))
    with pytest.raises(
        ClassError, match=r"2 pixel value.*got 7 \(2 px\), 9 \(1 px\); wanted 0 to 2"
    ):
        vectorize(classes, tmp_path / "o.gpkg", scheme=SCHEME)
    assert not (tmp_path / "o.gpkg").exists()


def test_options_reach_the_tracing(tmp_path: Path) -> None:
    values = np.zeros((6, 8), np.uint8)
    values[2, 3] = 1
    classes = write_tif(tmp_path / "classes.tif", values)
    options = VectorizeOptions(min_area_m2=200, connectivity=8, layer="cover")
    out = vectorize(classes, tmp_path / "o.gpkg", scheme=SCHEME, options=options)
    assert len(geopandas.read_file(out, layer="cover")) == 1
    with pytest.raises(ValidationError):
        VectorizeOptions(min_area_m2=-1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("classes.tif", "output is the input"),
        ("classes.gpkg", "would give the polygons' style, classes.qml, to classes.tif"),
        ("o.kml", "names no polygon format"),
    ],
)
def test_outputs_that_would_do_harm_are_refused(tmp_path: Path, name: str, message: str) -> None:
    classes = write_tif(tmp_path / "classes.tif", patches())
    with pytest.raises(OutputError, match=message):
        vectorize(classes, tmp_path / name, scheme=SCHEME)


def test_the_same_map_gives_the_same_bytes(tmp_path: Path) -> None:
    classes = write_tif(tmp_path / "classes.tif", patches())
    one, other = (vectorize(classes, tmp_path / n, scheme=SCHEME) for n in ("a.gpkg", "b.gpkg"))
    assert one.read_bytes() == other.read_bytes()


def test_a_map_of_nodata_gives_an_empty_layer(tmp_path: Path) -> None:
    classes = write_tif(tmp_path / "classes.tif", np.full((3, 4), 255, np.uint8))
    for name in ("a.gpkg", "a.geojson", "a.fgb", "a.parquet"):
        assert vectorize(classes, tmp_path / name, scheme=SCHEME).exists()


def test_the_step_imports_nothing_heavy() -> None:
    code = (
        "import sys, geoseg.steps.vectorize;"
        "print([m for m in ('numpy', 'rasterio', 'shapely', 'torch') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
