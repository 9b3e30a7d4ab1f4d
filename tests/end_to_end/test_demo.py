"""The demo: from a seed to a map that is right, with every file the design promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rasterio
from rio_cogeo import cog_validate
from trainings import training_briefly

import geoseg


@pytest.mark.slow
@pytest.mark.long
def test_the_demo_ends_with_a_map_of_at_least_080_mean_iou(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    check_demo(folder, geoseg.demo(folder), least=0.80)


@pytest.mark.slow
def test_the_demo_ends_with_a_map_after_six_epochs(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with training_briefly(epochs=6, batch=8, crop=96):
        check_demo(folder, geoseg.demo(folder), least=0.60)


def check_demo(folder: Path, made: list[Path], *, least: float) -> None:
    for name in (
        "scene.tif", "labels.gpkg", "classes.yaml", "chips", "model", "map/classes.tif",
        "map/confidence.tif", "landcover.gpkg", "landcover.geojson", "map/map.qgz",
        "map/report.html", "overview.png",
    ):  # fmt: skip
        assert (folder / name).exists(), name
    assert (folder / "map" / "report.html").stat().st_size < 6_000_000
    assert made[-1] == folder / "overview.png"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["miou"] >= least
    assert cog_validate(folder / "map" / "classes.tif", strict=True)[0]
    with (
        rasterio.open(folder / "map" / "classes.tif") as land_map,
        rasterio.open(folder / "scene.tif") as scene,
    ):
        assert ((land_map.read(1) == 255) == (scene.dataset_mask() == 0)).all()
    before = (folder / "overview.png").stat().st_mtime_ns
    assert geoseg.demo(folder) == made
    assert (folder / "overview.png").stat().st_mtime_ns == before
