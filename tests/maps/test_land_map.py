"""Folders and files that are not finished maps, or lack what a step needs, are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import geopandas as gpd
import pytest
import rasterio
import shapely
from plain_maps import SITE, write_plain_map
from small_scene import MakeRaster

import geoseg
from geoseg.errors import ApartError, ClassError, ConfigError, GridError, RasterError, VectorError
from geoseg.maps.contents import Description, contents_of
from geoseg.maps.land_map import open_area, open_land_maps
from geoseg.samples.draw import measure_strata


@pytest.fixture
def land_map(tmp_path: Path, make_raster: MakeRaster) -> Path:
    return write_plain_map(tmp_path / "map", make_raster)


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
