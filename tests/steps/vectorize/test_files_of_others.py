"""Polygons never replace what geoseg did not write."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from networks import TWO_CLASSES
from small_scene import MakeRaster

import geoseg
from geoseg.errors import OutputError
from geoseg.files import sha256

SUFFIXES = (".gpkg", ".geojson", ".geojsonl", ".fgb", ".parquet")


@pytest.fixture
def classes(tmp_path: Path, make_raster: MakeRaster) -> Path:
    ids = np.zeros((20, 30), np.uint8)
    ids[5:10, 5:15] = 1
    (tmp_path / "classes.yaml").write_text(TWO_CLASSES.to_yaml(), encoding="utf-8")
    return make_raster(tmp_path / "classes.tif", ids, nodata=255)


def fields() -> gpd.GeoDataFrame:
    squares = [shapely.box(x, 0, x + 5, 5) for x in range(500_000, 500_050, 10)]
    return gpd.GeoDataFrame({"owner": list("abcde")}, geometry=squares, crs=32633)


def write(path: Path) -> Path:
    if path.suffix == ".parquet":
        fields().to_parquet(path)
    else:
        frame = fields() if path.suffix in (".gpkg", ".fgb") else fields().to_crs(4326)
        driver = {".geojsonl": "GeoJSONSeq"}.get(path.suffix)
        frame.to_file(path, **({"driver": driver} if driver else {}))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_somebody_else_is_refused_and_kept(
    suffix: str, classes: Path, tmp_path: Path
) -> None:
    theirs = write(tmp_path / f"fields{suffix}")
    before = sha256(theirs)
    with pytest.raises(OutputError, match="geoseg did not write this file.*remove the file first"):
        geoseg.vectorize(classes, theirs)
    assert sha256(theirs) == before
    assert not theirs.with_suffix(".qml").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_its_own_polygons_are_replaced(suffix: str, classes: Path, tmp_path: Path) -> None:
    out = tmp_path / f"land{suffix}"
    first = sha256(geoseg.vectorize(classes, out))
    assert sha256(geoseg.vectorize(classes, out)) == first


def test_a_geopackage_with_a_layer_more_is_kept(classes: Path, tmp_path: Path) -> None:
    out = geoseg.vectorize(classes, tmp_path / "land.gpkg")
    fields().to_file(out, layer="fields", driver="GPKG")
    with pytest.raises(OutputError, match=r"got land.*, fields"):
        geoseg.vectorize(classes, out)
    assert set(pyogrio.list_layers(out)[:, 0]) >= {"fields"}


def test_a_style_of_somebody_else_is_kept(classes: Path, tmp_path: Path) -> None:
    (tmp_path / "land.qml").write_text("<qgis/>", encoding="utf-8")
    with pytest.raises(OutputError, match=r"land.qml: geoseg did not write this style"):
        geoseg.vectorize(classes, tmp_path / "land.geojson")
    assert (tmp_path / "land.qml").read_text(encoding="utf-8") == "<qgis/>"
    assert not (tmp_path / "land.geojson").exists()


def test_a_geopackage_that_is_open_elsewhere_is_not_replaced(classes: Path, tmp_path: Path) -> None:
    """As QGIS holds it: with a write-ahead log beside it."""
    out = geoseg.vectorize(classes, tmp_path / "land.gpkg")
    with closing(sqlite3.connect(out)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE note (text)")
        database.commit()
        with pytest.raises(OutputError, match=r"another program has it open.*land.gpkg-wal"):
            geoseg.vectorize(classes, out)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
