"""The demo: from a seed to a map that is right, with every file the design promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rasterio
from rio_cogeo import cog_validate

import geoseg


@pytest.mark.slow
@pytest.mark.long
def test_the_demo_ends_with_a_map_of_at_least_080_mean_iou(tmp_path: Path) -> None:
    geoseg.demo(tmp_path / "demo")
    assert report_of(tmp_path / "demo")["miou"] >= 0.80
    check_demo(tmp_path / "demo")


@pytest.mark.slow
def test_the_demo_leaves_all_files_also_after_a_brief_training(
    demo: Path, brief_training: None
) -> None:
    check_demo(demo)


def report_of(folder: Path) -> dict[str, float]:
    report: dict[str, float] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def check_demo(folder: Path) -> None:
    for name in (
        "scene.tif", "labels.gpkg", "classes.yaml", "chips", "model", "map/classes.tif",
        "map/confidence.tif", "landcover.gpkg", "landcover.geojson", "map/map.qgz",
        "map/report.html", "overview.png",
    ):  # fmt: skip
        assert (folder / name).exists(), name
    assert (folder / "map" / "report.html").stat().st_size < 6_000_000
    assert 0 < report_of(folder)["miou"] < 1
    assert cog_validate(folder / "map" / "classes.tif", strict=True)[0]
    with (
        rasterio.open(folder / "map" / "classes.tif") as land_map,
        rasterio.open(folder / "scene.tif") as scene,
    ):
        assert ((land_map.read(1) == 255) == (scene.dataset_mask() == 0)).all()
    before = (folder / "overview.png").stat().st_mtime_ns
    assert geoseg.demo(folder)[-1] == folder / "overview.png"
    assert (folder / "overview.png").stat().st_mtime_ns == before
