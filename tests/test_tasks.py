"""In which order a scene is mapped."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from geoseg.raster import FileSource
from geoseg.steps.predict import scene_regions

HEIGHT, WIDTH = 64, 160


def scene(path: Path, **stored: object) -> FileSource:
    profile = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": 1, "dtype": "uint8"}
    place = {"crs": "EPSG:32633", "transform": from_origin(400000, 5700000, 10, 10)}
    with rasterio.open(path, "w", **profile, **place, **stored) as dataset:
        dataset.write(np.ones((1, HEIGHT, WIDTH), np.uint8))
    return FileSource(path)


@pytest.mark.parametrize(
    ("stored", "first"),
    [
        (
            {"tiled": True, "blockxsize": 16, "blockysize": 16},
            [(0, 0), (0, 32), (32, 0), (32, 32), (0, 64), (0, 96)],
        ),
        ({"tiled": False}, [(0, 0), (0, 32), (0, 64), (0, 96), (0, 128), (32, 0)]),
    ],
    ids=["tiled: down bands of 64 columns", "strips: row by row"],
)
def test_blocks_that_regions_share_are_read_soon_after_each_other(
    stored: dict[str, object],
    first: list[tuple[int, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scene_regions, "BAND", 64)
    found = scene_regions.areas(scene(tmp_path / "scene.tif", **stored), 32)
    assert [(each.row, each.col) for each in found[:6]] == first
    assert sum(each.height * each.width for each in found) == HEIGHT * WIDTH
