"""Samples as they come back from people: copied rows, typing errors, moved points, odd accents."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from small_scene import MakeRaster

import geoseg
from geoseg.accuracy.stratified import estimate
from geoseg.classes import ClassScheme
from geoseg.errors import ClassError, InputError

FOREST = "for\N{LATIN SMALL LETTER E WITH CIRCUMFLEX}t"
DECOMPOSED = "fore\N{COMBINING CIRCUMFLEX ACCENT}t"


def scheme(unmapped: str = "error") -> ClassScheme:
    return ClassScheme.model_validate(
        {
            "unmapped": unmapped,
            "classes": [
                {"name": "water", "color": "#0000ff"},
                {"name": FOREST, "color": "#00ff00"},
            ],
        }
    )


@pytest.fixture
def land_map(tmp_path: Path, make_raster: MakeRaster) -> Path:
    """40 x 60 px: water, but for one pixel of forest."""
    classes = np.zeros((40, 60), np.uint8)
    classes[7, 9] = 1
    (tmp_path / "classes.yaml").write_text(scheme().to_yaml(), encoding="utf-8")
    return make_raster(tmp_path / "classes.tif", classes, nodata=255)


@pytest.fixture
def sample(land_map: Path, tmp_path: Path) -> Path:
    """20 points, all filled in with what the map shows."""
    path = geoseg.draw_sample(land_map, tmp_path / "sample.gpkg", points=20)
    change(path, "UPDATE sample SET reference = 'water'")
    change(
        path,
        "UPDATE sample SET reference = ? WHERE point IN (SELECT point FROM drawn WHERE class_id)",
        FOREST,
    )
    return path


def change(path: Path, statement: str, *values: object) -> None:
    """As QGIS would; the triggers of the spatial index want functions that it has."""
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'sample'"
    with closing(sqlite3.connect(path)) as database, database:
        for (name,) in database.execute(triggers).fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute(statement, values)


def scores(land_map: Path, sample: Path) -> dict[str, object]:
    found: dict[str, object] = geoseg.evaluate(land_map, sample)["sample"]
    return found


def test_a_class_of_one_pixel_leaves_standard_errors(land_map: Path, sample: Path) -> None:
    """19 of 2399 px of water and all of forest; one point of water is wrong.

    s2 = 18/19 * 1/19 * 19/18 = 0.05263; variance 0.05263 / 19 * (1 - 19/2399), weighted by
    (2399/2400)^2: the standard error is 0.0524.
    """
    change(
        sample,
        "UPDATE sample SET reference = ? "
        "WHERE point = (SELECT point FROM drawn WHERE class_id = 0 LIMIT 1)",
        FOREST,
    )
    found = scores(land_map, sample)
    assert found["overall_accuracy_se"] == pytest.approx(0.0524, abs=1e-4)
    assert None not in found["overall_accuracy_interval"]  # type: ignore[operator]


def test_a_class_that_is_counted_whole_adds_no_variance() -> None:
    counts, weights = np.array([[8, 0], [2, 3]]), np.array([0.5, 0.5])
    pixels = np.array([1000, 3])
    found = estimate(counts, weights, pixels)
    assert found.overall_se == pytest.approx(np.sqrt(0.8 * 0.2 / 9 * 0.99 * 0.25))
    assert found.users_se[1] == 0
    assert np.isnan(estimate(np.array([[8, 0], [2, 1]]), weights, np.array([1000, 3])).overall_se)


def test_rows_that_were_copied_are_named(land_map: Path, sample: Path) -> None:
    for _ in range(5):
        change(
            sample,
            "INSERT INTO sample (geom, point, reference) "
            "SELECT geom, point, reference FROM sample WHERE fid = 3",
        )
    with pytest.raises(InputError, match=r"6 rows share a point with another one; got fid 3 \(po"):
        scores(land_map, sample)


def test_rows_that_were_added_are_named(land_map: Path, sample: Path) -> None:
    change(sample, "INSERT INTO sample (geom, reference) SELECT geom, 'water' FROM sample LIMIT 1")
    with pytest.raises(InputError, match=r"1 rows are of no point that was drawn; got fid 21"):
        scores(land_map, sample)


def test_points_that_were_moved_are_named(land_map: Path, sample: Path) -> None:
    change(
        sample,
        "UPDATE sample SET geom = (SELECT geom FROM sample WHERE fid = 4) WHERE fid = 5",
    )
    with pytest.raises(InputError, match=r"1 points were moved; got fid 5"):
        scores(land_map, sample)


@pytest.mark.parametrize("unmapped", ["error", "water", "ignore"])
def test_a_typing_error_is_no_class(
    unmapped: str, land_map: Path, sample: Path, tmp_path: Path
) -> None:
    (tmp_path / "classes.yaml").write_text(scheme(unmapped).to_yaml(), encoding="utf-8")
    change(sample, "UPDATE sample SET reference = 'watre' WHERE point = 2")
    with pytest.raises(ClassError, match=r"1 reference\(s\) name no class; got 'watre' at point 2"):
        scores(land_map, sample)


def test_accents_may_be_characters_of_their_own(land_map: Path, sample: Path) -> None:
    change(sample, "UPDATE sample SET reference = ? WHERE reference = ?", DECOMPOSED, FOREST)
    assert scores(land_map, sample)["points"] == 20
    assert ClassScheme.model_validate(
        {"classes": [{"name": DECOMPOSED, "color": "#0000ff"}]}
    ).look_up([FOREST, DECOMPOSED]).ids.tolist() == [0, 0]


def test_points_that_were_deleted_are_not_filled_in(land_map: Path, sample: Path) -> None:
    change(sample, "DELETE FROM sample WHERE fid <= 4")
    found = scores(land_map, sample)
    assert (found["points"], found["not_filled"]) == (16, 4)
