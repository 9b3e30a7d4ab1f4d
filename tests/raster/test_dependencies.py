"""What a raster is read from, and that nothing of it is remembered once it has changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from networks import save_fcn, spec_for
from small_scene import NORTH_UP, SCHEME, MakeRaster
from thresholds import Threshold, classes_of

import geoseg
from geoseg import grid
from geoseg.files import stamp_of
from geoseg.labels import LabelLayer, open_labels
from geoseg.raster import open_scene
from geoseg.raster.dependencies import files_of

HEIGHT, WIDTH = 48, 64


def write(path: Path, make_raster: MakeRaster, value: int) -> Path:
    return make_raster(path, np.full((1, HEIGHT, WIDTH), value, np.uint16), nodata=0)


def arrange(path: Path, source: Path) -> Path:
    """A VRT of one band that shows another raster as it is."""
    a, b, c, d, e, f = NORTH_UP[:6]
    path.write_text(
        f'<VRTDataset rasterXSize="{WIDTH}" rasterYSize="{HEIGHT}"><SRS>EPSG:32633</SRS>'
        f"<GeoTransform>{c}, {a}, {b}, {f}, {d}, {e}</GeoTransform>"
        '<VRTRasterBand dataType="UInt16" band="1"><NoDataValue>0</NoDataValue><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{source.name}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return path


@pytest.fixture
def leaf(tmp_path: Path, make_raster: MakeRaster) -> Path:
    return write(tmp_path / "leaf.tif", make_raster, 500)


@pytest.fixture
def nested(tmp_path: Path, leaf: Path) -> Path:
    """A VRT of a VRT of the leaf."""
    return arrange(tmp_path / "outer.vrt", arrange(tmp_path / "inner.vrt", leaf))


@pytest.fixture
def threshold(tmp_path: Path) -> Threshold:
    (tmp_path / "notes").mkdir()
    return Threshold(tmp_path / "notes")


def values(scene: geoseg.raster.Scene) -> list[int]:
    source = open_scene(scene)
    found: list[int] = np.unique(source.read(grid.whole(source.geobox.shape)).pixels).tolist()
    return found


def test_a_nested_vrt_is_read_from_all_its_leaves_and_their_sidecars(
    nested: Path, leaf: Path
) -> None:
    sidecars = [leaf.with_name(leaf.name + ".aux.xml"), leaf.with_suffix(".tfw")]
    for each in sidecars:
        each.write_text("<PAMDataset/>" if each.suffix == ".xml" else "1\n0\n0\n-1\n0\n0\n")
    leaf.with_suffix(".qml").write_text("a style")
    wanted = {nested, nested.with_name("inner.vrt"), leaf, *sidecars}
    assert set(files_of(nested)) == set(open_scene(nested).paths) == wanted


def test_a_vrt_that_names_itself_ends(tmp_path: Path) -> None:
    loop = arrange(tmp_path / "loop.vrt", tmp_path / "loop.vrt")
    assert files_of(loop) == (loop,)


def test_a_stamp_tells_files_that_were_replaced_added_or_removed(nested: Path, leaf: Path) -> None:
    stamps = [stamp_of(files_of(nested))]
    shutil.copy(leaf, leaf.with_name("other.tif"))
    stamps.append(stamp_of(files_of(nested)))
    leaf.with_name("other.tif").replace(leaf)
    stamps.append(stamp_of(files_of(nested)))
    mask = leaf.with_name(leaf.name + ".msk")
    shutil.copy(leaf, mask)
    stamps.append(stamp_of(files_of(nested)))
    mask.unlink()
    stamps.append(stamp_of(files_of(nested)))
    assert stamps[0] == stamps[1]
    assert len(set(stamps[1:4])) == 3
    assert stamps[4] == stamps[2]


def test_pixels_of_a_leaf_that_is_replaced_are_read_anew(
    nested: Path, leaf: Path, make_raster: MakeRaster
) -> None:
    assert values(nested) == [500]
    write(leaf, make_raster, 1500)
    assert values(nested) == [1500]


def test_a_mask_that_is_added_or_changed_counts(leaf: Path, make_raster: MakeRaster) -> None:
    def valid() -> int:
        source = open_scene(leaf)
        return int(source.read(grid.whole(source.geobox.shape)).valid.sum())

    with rasterio.open(leaf, "r+") as dataset:
        dataset.nodata = None
    assert valid() == HEIGHT * WIDTH
    for rows in (10, 20):
        mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
        mask[:rows] = 0
        path = make_raster(leaf.with_name("mask.tif"), mask)
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(INTERNAL_MASK_FLAGS_1=2)
        path.replace(leaf.with_name(leaf.name + ".msk"))
        assert valid() == (HEIGHT - rows) * WIDTH


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_map_is_made_again_when_a_leaf_is_replaced(
    overwrite: bool,
    nested: Path,
    leaf: Path,
    threshold: Threshold,
    tmp_path: Path,
    make_raster: MakeRaster,
) -> None:
    """The threshold is at 1000."""
    options = geoseg.PredictOptions(overwrite=overwrite)
    (folder,) = geoseg.predict(nested, threshold, tmp_path / "map", options=options)
    assert np.unique(classes_of(folder)).tolist() == [0]
    inputs = json.loads((folder / "run.json").read_text())["inputs"]
    assert leaf.as_posix() in [each["path"] for each in inputs]
    write(leaf, make_raster, 1500)
    (folder,) = geoseg.predict(nested, threshold, tmp_path / "map", options=options)
    assert np.unique(classes_of(folder)).tolist() == [1]


def test_a_source_that_is_given_again_is_read_anew(
    nested: Path, leaf: Path, make_raster: MakeRaster
) -> None:
    source = open_scene(nested)
    assert values(source) == [500]
    write(leaf, make_raster, 1500)
    assert values(source) == [1500]


def test_labels_move_with_their_projection_file(tmp_path: Path, leaf: Path) -> None:
    """The same numbers in UTM 33N, then in zone 34, where the scene is not."""
    square = shapely.box(500_000, 4_999_990, 500_010, 5_000_000)
    frame = gpd.GeoDataFrame({"kind": ["house"]}, geometry=[square], crs=32633)
    frame.to_file(tmp_path / "labels.shp")
    layer = LabelLayer(str(tmp_path / "labels.shp"), SCHEME)
    geobox = open_scene(leaf).geobox
    ids = open_labels(layer, geobox).read(grid.whole(geobox.shape))
    assert (ids == 1).sum() == 400
    frame.set_crs(32634, allow_override=True).to_file(tmp_path / "east.shp")
    (tmp_path / "east.prj").replace(tmp_path / "labels.prj")
    with pytest.raises(geoseg.errors.ApartError):
        open_labels(layer, geobox)


def test_label_rasters_list_the_leaves_of_a_vrt(nested: Path, leaf: Path) -> None:
    assert LabelLayer(str(nested), SCHEME).inputs() == sorted(files_of(nested))
    assert leaf in LabelLayer(str(nested), SCHEME).inputs()


def test_a_network_maps_what_lies_there_now(
    nested: Path, leaf: Path, tmp_path: Path, make_raster: MakeRaster
) -> None:
    """In worker processes of one call, too, the handles are those of its files."""
    model = save_fcn(tmp_path / "model", spec_for(("b1",)))
    maps = []
    for value in (500, 1500, 500):
        write(leaf, make_raster, value)
        (folder,) = geoseg.predict(nested, model, tmp_path / f"{len(maps)}")
        with rasterio.open(folder / "confidence.tif") as dataset:
            maps.append(dataset.read(1))
    assert np.array_equal(maps[0], maps[2])
    assert not np.array_equal(maps[0], maps[1])
