from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.features import rasterize

from geoseg.classes import load_yaml
from geoseg.synthetic.scene import write_scene

SMALL = (384, 512)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_scene(folder, shape=SMALL)
    return folder


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    write_scene(folder)
    return folder


def _pixels(folder: Path) -> np.ndarray:
    with rasterio.open(folder / "scene.tif") as scene:
        return scene.read()


def _class_ids(folder: Path) -> np.ndarray:
    """Class ids where the image has data, 255 elsewhere; later classes lie over earlier ones."""
    labels = gpd.read_file(folder / "labels.gpkg").to_crs("EPSG:32633")
    labels["id"] = load_yaml(folder / "classes.yaml").look_up(labels["landcover"]).ids
    labels = labels.sort_values("id", kind="stable")
    with rasterio.open(folder / "scene.tif") as scene:
        ids = rasterize(
            zip(labels.geometry, labels["id"], strict=True),
            out_shape=scene.shape,
            transform=scene.transform,
            fill=255,
            dtype="uint8",
        )
        return np.where(scene.dataset_mask() > 0, ids, 255)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_pixels_and_polygons_and_another_seed_others(
    small: Path, tmp_path: Path
) -> None:
    write_scene(tmp_path / "again", shape=SMALL)
    write_scene(tmp_path / "other", seed=1, shape=SMALL)
    np.testing.assert_array_equal(_pixels(tmp_path / "again"), _pixels(small))
    assert (_pixels(tmp_path / "other") != _pixels(small)).mean() > 0.5
    polygons = [gpd.read_file(folder / "labels.gpkg") for folder in (small, tmp_path / "again")]
    assert polygons[0].equals(polygons[1])


def test_the_scene_has_four_named_uint16_bands_of_two_and_a_half_metres(small: Path) -> None:
    with rasterio.open(small / "scene.tif") as scene:
        assert (scene.count, *scene.shape) == (4, 384, 512)
        assert scene.descriptions == ("blue", "green", "red", "nir")
        assert [each.name for each in scene.colorinterp] == ["blue", "green", "red", "nir"]
        assert (scene.res, scene.crs.to_epsg()) == ((2.5, 2.5), 32633)
        assert (scene.nodata, scene.dtypes[0]) == (0, "uint16")


def test_every_polygon_is_valid_and_in_longitude_and_latitude(small: Path) -> None:
    labels = gpd.read_file(small / "labels.gpkg", layer="landcover")
    assert labels.crs.to_epsg() == 4326
    assert set(labels.geom_type) == {"Polygon"}
    assert labels.is_valid.all()
    assert (labels["source"].str.len() > 0).all()


def test_every_label_value_belongs_to_a_class_and_some_classes_have_several(small: Path) -> None:
    scheme = load_yaml(small / "classes.yaml")
    values = gpd.read_file(small / "labels.gpkg")["landcover"].unique()
    assert sorted(set(scheme.look_up(values).ids.tolist())) == [0, 1, 2, 3, 4, 5, 6]
    assert len(values) > 2 * len(scheme.classes)


@pytest.mark.slow
def test_every_class_covers_at_least_a_half_percent_of_each_quarter(full: Path) -> None:
    ids = _class_ids(full)
    for half in np.split(ids, 2, axis=0):
        for quarter in np.split(half, 2, axis=1):
            counts = np.bincount(quarter[quarter != 255], minlength=7)
            assert len(counts) == 7
            assert (counts / counts.sum()).min() > 0.005


@pytest.mark.parametrize("size", ["small", pytest.param("full", marks=pytest.mark.slow)])
def test_nodata_and_unlabelled_land_take_a_little_of_the_scene(
    size: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(size)
    empty = (_pixels(folder) == 0).all(axis=0)
    unlabelled = (_class_ids(folder) == 255) & ~empty
    assert 0.03 < empty.mean() < 0.15
    assert 0.06 < unlabelled.mean() < 0.16
