"""Rasters, vector files and options that are refused, with the reason and the next move."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import shapely
from affine import Affine
from conftest import SCHEME, TINY, MakeRaster, SmallScene, write_labels

import geoseg
from geoseg.chips import open_chips
from geoseg.errors import ChipsError, ConfigError, RasterError, UnsafeError, VectorError
from geoseg.options import ReadOptions
from geoseg.raster import FileSource, open_scene
from geoseg.vector import Polygons
from geoseg.vector.layer import open_layer
from geoseg.vector.polygon_formats import check_driver


def test_a_file_that_gdal_opens_with_another_driver_is_refused() -> None:
    check_driver(Path("l.geojsonl"), "GeoJSONSeq", "GeoJSON")
    with pytest.raises(UnsafeError, match="opens with another driver.*got CSV; wanted GeoJSON"):
        check_driver(Path("l.geojson"), "CSV", "GeoJSON")


def test_a_parquet_file_without_geometries_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), path)
    with pytest.raises(VectorError, match="no GeoParquet"):
        open_layer(path, None)


def test_a_database_that_is_no_geopackage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.gpkg"
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table notes (text)")
        database.commit()
    with pytest.raises(VectorError, match="is a database, but no GeoPackage"):
        open_layer(path, None)


def test_polygons_need_one_class_id_each() -> None:
    squares = np.array([shapely.box(0, 0, 9, 9), shapely.box(9, 0, 18, 9)])
    with pytest.raises(VectorError, match=r"one class id per polygon; got \(1,\) ids, \(2,\) poly"):
        Polygons(squares, np.array([0], np.uint8), SCHEME, "EPSG:32633")


@pytest.mark.parametrize(("bands", "alpha"), [(1, 1), (3, 4)])
def test_a_band_that_cannot_be_alpha_is_refused(
    tmp_path: Path, make_raster: MakeRaster, bands: int, alpha: int
) -> None:
    path = make_raster(tmp_path / "scene.tif", np.ones((bands, 96, 128), np.uint8))
    with pytest.raises(RasterError, match=f"no band {alpha} to spare as alpha; got {bands} band"):
        open_scene(path, ReadOptions(alpha=alpha))


def test_a_scene_file_names_files_of_one_band(tmp_path: Path, make_raster: MakeRaster) -> None:
    make_raster(tmp_path / "rgb.tif", np.ones((3, 96, 128), np.uint8))
    path = tmp_path / "scene.yaml"
    path.write_text("bands: {red: rgb.tif}\n")
    with pytest.raises(RasterError, match=r"rgb\.tif: a band of a scene is a file of one band"):
        open_scene(path)


def test_a_handle_is_not_used_for_another_file_of_the_same_name(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    path = make_raster(tmp_path / "scene.tif", np.ones((1, 96, 128), np.uint8))
    assert FileSource(path).bands[0].nodata is None
    make_raster(path, np.ones((1, 96, 128), np.uint8), nodata=7)
    assert FileSource(path).bands[0].nodata == 7


def test_scenes_with_pixels_of_another_size_are_refused(
    tmp_path: Path, scene: SmallScene, labels: Path, make_raster: MakeRaster
) -> None:
    coarse = Affine(1.0, 0, 500_000, 0, -1.0, 5_000_000)
    other = make_raster(tmp_path / "other.tif", scene.pixels, transform=coarse)
    with pytest.raises(ChipsError, match=r"other\.tif: has pixels of another size.*got 1 m; want"):
        geoseg.tile([scene.path, other], labels, tmp_path / "chips", classes=SCHEME, options=TINY)


def test_a_split_column_needs_a_single_polygon_layer(
    tmp_path: Path, scene: SmallScene, make_raster: MakeRaster
) -> None:
    for name in ("a.tif", "b.tif"):
        make_raster(tmp_path / name, np.ones((1, 96, 128), np.uint8))
    options = TINY.model_copy(update={"split_column": "part"})
    with pytest.raises(ConfigError, match="--split-column needs a single polygon layer"):
        geoseg.tile(scene.path, tmp_path, tmp_path / "chips", classes=SCHEME, options=options)


def test_labels_of_one_scene_only_leave_the_other_out(
    tmp_path: Path, scene: SmallScene, make_raster: MakeRaster
) -> None:
    far = make_raster(
        tmp_path / "far.tif", scene.pixels, transform=Affine(0.5, 0, 600_000, 0, -0.5, 5_000_000)
    )
    box = shapely.box(500_000, 4_999_952, 500_064, 5_000_000)
    path = write_labels(tmp_path / "l.gpkg", [("house", box)], "EPSG:32633")
    chips = geoseg.tile([scene.path, far], path, tmp_path / "c", classes=SCHEME, options=TINY)
    assert set(open_chips(chips).index["scene"]) == {0}
