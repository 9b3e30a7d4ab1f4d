"""Labels on a scene's grid, and codes that belong to no class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from small_scene import SCHEME, MakeRaster, SmallScene, write_labels

from geoseg.classes import ClassScheme
from geoseg.errors import ApartError, ClassError, RasterError, VectorError
from geoseg.grid import Window
from geoseg.labels import LabelLayer, PolygonLabels, RasterLabels, open_labels
from geoseg.raster import FileSource

CODES = ClassScheme.model_validate(
    {
        "classes": [
            {"name": "a", "color": "#000000", "values": [7]},
            {"name": "b", "color": "#ffffff", "values": [9]},
        ],
        "ignore": [-1],
    }
)
WHOLE = Window(0, 0, 96, 128)


def test_polygon_codes_of_no_class_are_refused_with_advice_for_label_layers(
    tmp_path: Path, scene: SmallScene
) -> None:
    box = shapely.box(500_000, 4_999_952, 500_064, 5_000_000)
    path = write_labels(tmp_path / "l.gpkg", [("shed", box), ("shed", box)], "EPSG:32633")
    with pytest.raises(ClassError) as caught:
        open_labels(LabelLayer(str(path), SCHEME), FileSource(scene.path).geobox)
    assert "1 label code(s) belong to no class; got 'shed' (2 x); wanted " in str(caught.value)
    assert caught.value.fix == "add them to values: in the class file, or set unmapped: ignore"


def test_pixel_values_of_no_class_are_refused_with_their_pixels(
    tmp_path: Path, make_raster: MakeRaster, scene: SmallScene
) -> None:
    codes = np.full((96, 128), 7, np.int16)
    codes[:2, :5] = 8
    path = make_raster(tmp_path / "codes.tif", codes)
    labels = open_labels(LabelLayer(str(path), CODES), FileSource(scene.path).geobox)
    assert isinstance(labels, RasterLabels)
    with pytest.raises(ClassError) as caught:
        labels.read(WHOLE)
    assert "got '8' (10 px here); wanted '7', '9', '-1'" in str(caught.value)
    assert (labels.read(Window(2, 0, 94, 128)) == 0).all()


def test_where_label_rasters_overlap_the_first_one_counts(
    tmp_path: Path, make_raster: MakeRaster, scene: SmallScene
) -> None:
    first = np.full((96, 128), 7, np.int16)
    first[:, 64:] = -1
    make_raster(tmp_path / "1.tif", first)
    make_raster(tmp_path / "2.tif", np.full((96, 128), 9, np.int16))
    labels = open_labels(LabelLayer(str(tmp_path), CODES), FileSource(scene.path).geobox)
    ids = labels.read(WHOLE)
    assert (ids[:, :64] == 0).all()
    assert (ids[:, 64:] == 1).all()


def test_a_label_layer_is_opened_once_per_grid(scene: SmallScene, labels: Path) -> None:
    layer, geobox = LabelLayer(str(labels), SCHEME), FileSource(scene.path).geobox
    opened = open_labels(layer, geobox)
    assert isinstance(opened, PolygonLabels)
    assert open_labels(LabelLayer(str(labels), SCHEME), geobox) is opened


def test_labels_that_cannot_be_used_are_refused(
    tmp_path: Path, make_raster: MakeRaster, scene: SmallScene
) -> None:
    geobox = FileSource(scene.path).geobox
    bands = make_raster(tmp_path / "bands.tif", np.zeros((2, 96, 128), np.uint8))
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0" + bytes(100))
    box = shapely.box(0, 0, 9, 9)
    for name in ("a.gpkg", "b.gpkg"):
        write_labels(tmp_path / name, [("house", box)], "EPSG:32633")
    for path, kind, message in (
        (tmp_path / "nowhere.gpkg", VectorError, "there are no labels"),
        (tmp_path / "*.gpkg", VectorError, "one polygon layer at a time; got 2 files"),
        (bands, ClassError, "a label raster has one band; got 2"),
        (broken, RasterError, "cannot be opened"),
        (tmp_path / "a.gpkg", ApartError, "0 of 1 features"),
    ):
        with pytest.raises(kind, match=message):
            open_labels(LabelLayer(str(path), SCHEME), geobox)


def test_the_inputs_of_a_label_layer_are_its_files_and_what_lies_beside_them(
    tmp_path: Path,
) -> None:
    for name in ("l.shp", "l.dbf", "l.prj", "l.shp.xml", "list.shp", "l-notes.txt"):
        (tmp_path / name).touch()
    found = LabelLayer(str(tmp_path / "l.shp"), SCHEME).inputs()
    assert [each.name for each in found] == ["l-notes.txt", "l.dbf", "l.prj", "l.shp", "l.shp.xml"]
    with pytest.raises(VectorError, match="there are no labels"):
        LabelLayer(str(tmp_path / "*.gpkg"), SCHEME).inputs()
