"""The same files as other scenes, or under other names, give other chips."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from small_scene import SCHEME, TINY, MakeRaster, SmallScene

import geoseg
from geoseg.chips import open_chips
from geoseg.errors import ChipsError
from geoseg.files import sha256
from geoseg.layout import CHIP_FILES


@pytest.fixture
def bands(scene: SmallScene, tmp_path: Path, make_raster: MakeRaster) -> Path:
    """A folder of eight bands of the small scene, a file each."""
    folder = tmp_path / "bands"
    folder.mkdir()
    for number in range(8):
        pixels = scene.pixels[number % 3] + number
        make_raster(folder / f"B0{number + 1}.tif", np.where(scene.valid, pixels, 0), nodata=0)
    return folder


def test_a_refused_command_leaves_nothing_that_the_right_one_would_use(
    bands: Path, labels: Path, tmp_path: Path
) -> None:
    out, fresh = tmp_path / "chips", tmp_path / "fresh"
    with pytest.raises(ChipsError):
        geoseg.tile(sorted(bands.glob("*.tif")), labels, out, classes=SCHEME, options=TINY)
    for folder in (out, fresh):
        geoseg.tile(bands, labels, folder, classes=SCHEME, options=TINY)
    assert len(open_chips(out).spec.bands) == 8
    for name in CHIP_FILES:
        if name.endswith(".npy"):
            assert sha256(out / name) == sha256(fresh / name), name
    assert open_chips(out).index.equals(open_chips(fresh).index)


def test_two_scenes_are_not_the_two_bands_of_one(bands: Path, labels: Path, tmp_path: Path) -> None:
    """One after the other in one folder: the chips are those of the last command."""
    for path in sorted(bands.iterdir())[2:]:
        path.unlink()
    out = tmp_path / "chips"
    geoseg.tile(bands, labels, out, classes=SCHEME, options=TINY)
    assert [band.name for band in open_chips(out).spec.bands] == ["B01", "B02"]
    one = tmp_path / "one"
    one.mkdir()
    shutil.copy(bands / "B01.tif", one / "scene.tif")
    geoseg.tile(one, labels, out, classes=SCHEME, options=TINY)
    assert [band.name for band in open_chips(out).spec.bands] == ["b1"]


def test_bands_that_are_renamed_are_cut_again(bands: Path, labels: Path, tmp_path: Path) -> None:
    """The same bytes in the same order, but B08 is B09 now, by which models find it."""
    out = tmp_path / "chips"
    geoseg.tile(bands, labels, out, classes=SCHEME, options=TINY)
    (bands / "B08.tif").rename(bands / "B09.tif")
    geoseg.tile(bands, labels, out, classes=SCHEME, options=TINY)
    assert [band.name for band in open_chips(out).spec.bands][-1] == "B09"


def test_a_raster_of_labels_that_turns_into_a_scene_is_cut(
    scene: SmallScene, tmp_path: Path, make_raster: MakeRaster
) -> None:
    """Two label rasters and one scene, then one label raster and the scene with its mask."""
    half, other = scene.classes.copy(), scene.classes.copy()
    half[:, 64:], other[:, :64] = 255, 255
    folder = tmp_path / "labels"
    folder.mkdir()
    for name, ids in (("west", half), ("east", other)):
        make_raster(folder / f"{name}.tif", ids, nodata=255)
    codes = [{"values": [0]}, {"values": [1]}]
    classes = [each.model_dump() | code for each, code in zip(SCHEME.classes, codes, strict=True)]
    scheme = geoseg.ClassScheme.model_validate({"classes": classes})
    out = tmp_path / "chips"
    geoseg.tile(scene.path, folder, out, classes=scheme, options=TINY)
    both = (open_chips(out).labels != 255).sum()
    (folder / "east.tif").unlink()
    geoseg.tile(scene.path, folder, out, classes=scheme, options=TINY)
    assert (open_chips(out).labels != 255).sum() < both
    with rasterio.open(folder / "west.tif") as dataset:
        assert (open_chips(out).labels == 1).sum() == (dataset.read(1) == 1).sum()
