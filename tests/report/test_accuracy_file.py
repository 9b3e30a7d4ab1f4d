"""Accuracy reports: read for the map they are about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plain_maps import write_plain_map
from small_scene import MakeRaster

from geoseg.errors import InputError
from geoseg.maps.contents import Description, contents_of
from geoseg.report.accuracy_file import read_accuracy

ACCURACY = {
    "classes": [{"name": "land"}, {"name": "building"}],
    "scenes": [{"map": "work/map/classes.tif"}],
    "miou": 0.5, "overall_accuracy": 0.5, "n_pixels": 9, "majority": {"miou": 0.1},
}  # fmt: skip


@pytest.fixture
def land_map(tmp_path: Path, make_raster: MakeRaster) -> Path:
    return write_plain_map(tmp_path / "map", make_raster)


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
