"""Scenes and labels that are cut into chips together: what fits and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from small_scene import SCHEME, TINY, MakeRaster, SmallScene, write_labels

import geoseg
from geoseg.chips import open_chips
from geoseg.errors import ChipsError, ConfigError


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
