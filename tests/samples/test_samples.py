"""Samples that cannot be drawn from a map or do not belong to it are refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import rasterio
from networks import TWO_CLASSES
from plain_maps import SITE, write_plain_map
from small_scene import MakeRaster

import geoseg
from geoseg.errors import ConfigError, GridError, InputError, OutputError, VectorError
from geoseg.maps.land_map import open_land_maps
from geoseg.samples.draw import measure_strata
from geoseg.samples.read_sample import is_sample, read_sample


@pytest.fixture
def land_map(tmp_path: Path, make_raster: MakeRaster) -> Path:
    return write_plain_map(tmp_path / "map", make_raster)


def edit(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


def drop_triggers(path: Path) -> None:
    """Drop the triggers of the spatial index, which call functions that SQLite alone lacks."""
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    with closing(sqlite3.connect(path)) as database, database:
        for (name,) in database.execute(query).fetchall():
            database.execute(f'DROP TRIGGER "{name}"')


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
