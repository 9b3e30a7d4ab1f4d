"""Maps, samples, styles and reports that do not fit are refused, with the reason."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from conftest import MakeRaster
from networks import TWO_CLASSES

import geoseg
from geoseg.accuracy.stratified import sample_size
from geoseg.errors import (
    ApartError,
    ClassError,
    ConfigError,
    GridError,
    InputError,
    OutputError,
    RasterError,
    VectorError,
)
from geoseg.maps.contents import Description, contents_of
from geoseg.maps.land_map import open_area, open_land_maps
from geoseg.report.accuracy_file import read_accuracy
from geoseg.samples.draw import measure_strata
from geoseg.samples.read_sample import is_sample, read_sample
from geoseg.style import load_scheme

SITE = 'LOCAL_CS["site",UNIT["metre",1]]'
ACCURACY = {
    "classes": [{"name": "land"}, {"name": "building"}],
    "scenes": [{"map": "work/map/classes.tif"}],
    "miou": 0.5, "overall_accuracy": 0.5, "n_pixels": 9, "majority": {"miou": 0.1},
}  # fmt: skip


@pytest.fixture
def land_map(tmp_path: Path, make_raster: MakeRaster) -> Path:
    """A map of 96 x 128 px of 0.5 m: building in columns 0-63, land in the others."""
    classes = np.zeros((96, 128), np.uint8)
    classes[:, :64] = 1
    folder = tmp_path / "map"
    folder.mkdir()
    make_raster(folder / "classes.tif", classes, nodata=255)
    (folder / "classes.yaml").write_text(TWO_CLASSES.to_yaml(), encoding="utf-8")
    return folder


def edit(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


def drop_triggers(path: Path) -> None:
    """Drop the triggers of the spatial index, which call functions that SQLite alone lacks."""
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    with closing(sqlite3.connect(path)) as database, database:
        for (name,) in database.execute(query).fetchall():
            database.execute(f'DROP TRIGGER "{name}"')


class TestMaps:
    def test_a_folder_without_classes_is_not_a_finished_map(self, tmp_path: Path) -> None:
        with pytest.raises(RasterError, match=r"got no classes\.tif and no classes\.yaml in it"):
            contents_of(tmp_path, Description())

    def test_a_title_is_stated_or_else_the_name_of_the_folder(self, land_map: Path) -> None:
        assert contents_of(land_map, Description("Lakes")).title == "Lakes"
        assert contents_of(land_map, Description()).title == land_map.parent.name
        moved = shutil.copytree(land_map, land_map.parent / "north")
        assert contents_of(moved, Description()).title == "north"

    def test_imagery_that_is_not_a_raster_is_refused_when_it_was_given(
        self, land_map: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "broken.tif").write_bytes(b"no image")
        with pytest.raises(RasterError, match="broken.tif"):
            contents_of(land_map, Description(), imagery=tmp_path / "broken.tif")

    def test_labels_that_are_no_layer_are_refused(self, land_map: Path, tmp_path: Path) -> None:
        (tmp_path / "labels.gpkg").write_bytes(b"no layer")
        with pytest.raises(VectorError, match="labels.gpkg"):
            contents_of(land_map, Description(), labels=tmp_path / "labels.gpkg")

    def test_records_need_a_crs_that_is_tied_to_the_ground(self, land_map: Path) -> None:
        with rasterio.open(land_map / "classes.tif", "r+") as dataset:
            dataset.crs = SITE
        for records in ("stac", "iso19139"):
            with pytest.raises(GridError, match="not tied to the ground; got site"):
                geoseg.publish(land_map, options=geoseg.PublishOptions(records=records))

    def test_polygons_without_a_grid_are_refused(self, land_map: Path, tmp_path: Path) -> None:
        polygons = geoseg.vectorize(land_map / "classes.tif", tmp_path / "land.gpkg")
        with pytest.raises(ConfigError, match="no grid to count on.*--like"):
            open_land_maps([polygons], classes=land_map / "classes.yaml")

    def test_a_raster_without_classes_is_refused(self, land_map: Path) -> None:
        (land_map / "classes.yaml").unlink()
        with pytest.raises(ClassError, match="names no classes"):
            open_land_maps([land_map])

    def test_an_area_elsewhere_is_refused(self, land_map: Path, tmp_path: Path) -> None:
        far = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 9, 9)], crs=32633)
        far.to_file(tmp_path / "far.gpkg")
        (opened,) = open_land_maps([land_map])
        with pytest.raises(ApartError):
            open_area(tmp_path / "far.gpkg", opened.geobox)
        with pytest.raises(ApartError):
            measure_strata([opened], tmp_path / "far.gpkg")


class TestSamples:
    @pytest.fixture
    def sample(self, land_map: Path, tmp_path: Path) -> Path:
        return geoseg.draw_sample(land_map, tmp_path / "sample.gpkg", points=20)

    def test_a_map_without_data_has_nothing_to_draw(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        empty = make_raster(tmp_path / "classes.tif", np.full((9, 9), 255, np.uint8), nodata=255)
        (tmp_path / "classes.yaml").write_text(TWO_CLASSES.to_yaml(), encoding="utf-8")
        with pytest.raises(InputError, match="there is no mapped pixel to draw"):
            geoseg.draw_sample(empty, tmp_path / "sample.gpkg", points=20)

    def test_areas_need_a_crs_that_is_tied_to_the_ground(self, land_map: Path) -> None:
        with rasterio.open(land_map / "classes.tif", "r+") as dataset:
            dataset.crs = SITE
        with pytest.raises(GridError, match=r"areas are unknown.*got site"):
            measure_strata(open_land_maps([land_map]), None)

    def test_a_sample_is_of_the_whole_map_and_not_of_chips(
        self, land_map: Path, tmp_path: Path
    ) -> None:
        options = geoseg.EvaluateOptions(chips=tmp_path / "chips")
        with pytest.raises(ConfigError, match="--chips.*--area"):
            geoseg.draw_sample(land_map, tmp_path / "sample.gpkg", points=20, options=options)

    def test_a_sample_of_another_map_is_refused(self, land_map: Path, sample: Path) -> None:
        edit(sample, "UPDATE drawn SET class_id = 1 - class_id WHERE point <= 3")
        with pytest.raises(InputError, match=r"another map; got 3 of 20 points"):
            read_sample(sample, open_land_maps([land_map]))

    def test_a_sample_of_other_classes_is_refused(self, land_map: Path, sample: Path) -> None:
        drop_triggers(sample)
        edit(sample, "UPDATE sample SET reference = 'land'")
        edit(sample, "UPDATE strata SET class_id = 2 WHERE class_id = 1")
        with pytest.raises(InputError, match="a map of other classes"):
            read_sample(sample, open_land_maps([land_map]))

    def test_a_sample_without_its_columns_cannot_be_read(
        self, land_map: Path, sample: Path
    ) -> None:
        edit(sample, "ALTER TABLE drawn RENAME COLUMN class_id TO id")
        assert is_sample(sample)
        with pytest.raises(VectorError, match="is not a readable sample; got no such column"):
            read_sample(sample, open_land_maps([land_map]))

    def test_a_broken_database_is_no_sample(self, tmp_path: Path) -> None:
        (tmp_path / "truth.gpkg").write_bytes(b"SQLite format 3\0 and no more")
        assert not is_sample(tmp_path / "truth.gpkg")

    def test_a_sample_goes_into_a_folder_only(self, land_map: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="file"):
            geoseg.draw_sample(land_map, tmp_path / "file" / "sample.gpkg", points=20)


class TestReports:
    def read(self, land_map: Path, changes: dict[str, object]) -> None:
        path = land_map.parent / "given.json"
        path.write_text(json.dumps(ACCURACY | changes), encoding="utf-8")
        report, _ = read_accuracy(contents_of(land_map, Description()), path)
        assert report == ACCURACY

    def test_a_report_on_this_map_is_read(self, land_map: Path) -> None:
        self.read(land_map, {})

    def test_a_report_on_another_map_is_refused(self, land_map: Path) -> None:
        with pytest.raises(InputError, match="is about another map; got north"):
            self.read(land_map, {"scenes": [{"map": "work/north/classes.tif"}]})

    def test_a_report_on_other_classes_is_refused(self, land_map: Path) -> None:
        with pytest.raises(InputError, match="other classes; got water; wanted land, building"):
            self.read(land_map, {"classes": [{"name": "water"}]})

    def test_a_report_without_scores_is_refused(self, land_map: Path) -> None:
        with pytest.raises(InputError, match="is not an accuracy report.*evaluate"):
            self.read(land_map, {"majority": {}})


class TestStyles:
    def test_a_style_is_read_up_to_16_mib(self, tmp_path: Path) -> None:
        path = tmp_path / "large.qml"
        with path.open("wb") as stream:
            stream.truncate((16 << 20) + 1)
        with pytest.raises(ClassError, match="too large for a style; wanted 16 MiB"):
            load_scheme(path)

    def test_a_style_is_utf_8(self, tmp_path: Path) -> None:
        (tmp_path / "latin.qml").write_bytes("<qgis>ä".encode("latin-1"))
        with pytest.raises(ClassError, match="is not UTF-8 at byte 6"):
            load_scheme(tmp_path / "latin.qml")

    @pytest.mark.parametrize(
        "entry",
        [
            '<paletteEntry value="1" color="red"/>',
            '<paletteEntry value="1" alpha="x"/>',
        ],
    )
    def test_a_palette_with_a_colour_that_is_none_is_refused(
        self, tmp_path: Path, entry: str
    ) -> None:
        style = f'<qgis><rasterrenderer type="paletted">{entry}</rasterrenderer></qgis>'
        (tmp_path / "classes.qml").write_text(style)
        with pytest.raises(ClassError, match="a colour of the style is broken"):
            load_scheme(tmp_path / "classes.qml")

    def test_a_table_with_a_colour_that_is_no_number_is_broken(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        raster = make_raster(tmp_path / "classes.tif", np.zeros((9, 9), np.uint8))
        fields = "".join(f"<FieldDefn><Usage>{usage}</Usage></FieldDefn>" for usage in (5, 2, 6))
        Path(f"{raster}.aux.xml").write_text(
            '<PAMDataset><PAMRasterBand band="1"><GDALRasterAttributeTable>'
            f"{fields}<Row><F>0</F><F>land</F><F>red</F></Row>"
            "</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>"
        )
        with pytest.raises(ClassError, match="attribute table is broken.*red"):
            load_scheme(raster)


def test_a_sample_for_accuracies_that_are_sure_is_small() -> None:
    """Of one class with a user's accuracy of 0.5: (0.5 / 0.05)^2 = 100 points."""
    assert sample_size(np.ones(1), np.array([0.5]), 0.05) == 100
