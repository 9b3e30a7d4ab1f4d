"""Bands that share a name: each has a name of its own, or the scene is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import wrap_xr
from rasterio.enums import ColorInterp
from small_scene import NORTH_UP, MakeRaster

import geoseg
from geoseg import grid
from geoseg.chips import open_chips
from geoseg.errors import ChipsError, ConfigError, ModelError, RasterError
from geoseg.layout import CHIP_SPEC, MODEL_SPEC
from geoseg.models.band_names import position
from geoseg.models.saved.spec import read_spec
from geoseg.options import ReadOptions
from geoseg.raster import Scene, open_scene
from geoseg.raster.block import unique_names
from geoseg.raster.checks import problems_of

HEIGHT, WIDTH = 96, 128
BOX = GeoBox((HEIGHT, WIDTH), NORTH_UP, "EPSG:32633")


@pytest.fixture
def edges(tmp_path: Path, make_raster: MakeRaster) -> Path:
    """A red band, and three that the file calls red edge: all 100, then 500 in the west, 300."""
    pixels = np.full((4, HEIGHT, WIDTH), 100, np.uint16)
    pixels[2, :, : WIDTH // 2] = 500
    pixels[3] = 300
    path = make_raster(tmp_path / "scene.tif", pixels)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.red, *[ColorInterp.rededge] * 3]
    return path


def names_of(scene: Scene, *bands: str) -> list[str]:
    return [band.name for band in open_scene(scene, ReadOptions(bands=bands)).bands]


def test_numbers_are_given_to_the_names_that_occur_twice() -> None:
    assert unique_names(["b1", "nir", "b1", "nir", "red"]) == (
        "b1 1", "nir 1", "b1 2", "nir 2", "red",
    )  # fmt: skip
    assert unique_names(["nir", "nir", "nir 1"]) == ("nir 2", "nir 3", "nir 1")


def test_a_band_has_the_same_name_whichever_others_are_read(edges: Path) -> None:
    assert names_of(edges) == ["red", "rededge 1", "rededge 2", "rededge 3"]
    assert names_of(edges, "3") == names_of(edges, "rededge 2") == ["rededge 2"]
    block = open_scene(edges, ReadOptions(bands=("rededge 2",))).read(grid.whole(BOX.shape))
    assert np.unique(block.pixels).tolist() == [100, 500]


def test_a_name_of_several_bands_is_none_of_them(edges: Path) -> None:
    with pytest.raises(ConfigError, match=r"no band 'rededge'; got red, rededge 1, rededge 2"):
        names_of(edges, "rededge")
    with pytest.raises(ConfigError, match="--bands: a band is named twice; got red, 1"):
        names_of(edges, "red", "1")


def test_the_names_are_told(edges: Path) -> None:
    (found,) = [each for each in problems_of(edges) if each.code == "band-name-twice"]
    assert "geoseg calls them rededge 1, rededge 2" in found.message
    assert geoseg.info(edges)[0]["band_names"] == names_of(edges)


def test_a_forest_maps_the_scene_it_learned(edges: Path, tmp_path: Path) -> None:
    """By one red edge band of three; the others do not tell the classes apart."""
    with rasterio.open(edges) as dataset:
        west = (dataset.read(3) == 500).astype(np.uint8)
        profile = dataset.profile | {"count": 1, "dtype": "uint8", "nodata": None}
    labels = tmp_path / "labels.tif"
    with rasterio.open(labels, "w", **profile) as dataset:
        dataset.write(west, 1)
    scheme = geoseg.ClassScheme.model_validate(
        {"classes": [{"name": "east", "color": "#102030"}, {"name": "west", "color": "#a0b0c0"}]}
    )
    options = geoseg.TileOptions(size=32, block=32, buffer=0, val=0.2, test=0)
    chips = geoseg.tile(edges, labels, tmp_path / "chips", classes=scheme, options=options)
    forest = geoseg.TrainOptions(architecture="forest")
    model = geoseg.train(chips, tmp_path / "model", options=forest)
    (folder,) = geoseg.predict(edges, model, tmp_path / "map")
    with rasterio.open(folder / "classes.tif") as dataset:
        assert np.array_equal(dataset.read(1), west)


def test_arrays_whose_labels_repeat_are_refused() -> None:
    array = wrap_xr(np.zeros((2, HEIGHT, WIDTH), np.uint16), BOX, axis=1)
    array = array.rename({array.dims[0]: "band"}).assign_coords(band=["nir", "nir"])
    with pytest.raises(RasterError, match=r"several of its bands have one name; got nir"):
        open_scene(array)
    assert names_of(xr.Dataset({"a": array[0].drop_vars("band"), "b": array[1].drop_vars("band")}))


def test_files_of_a_folder_that_differ_in_their_ending_are_all_there(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    for name in ("B02.tif", "B02.tiff", "B03.tif"):
        make_raster(tmp_path / name, np.zeros((4, 6), np.uint8))
    assert names_of(tmp_path) == ["B02.tif", "B02.tiff", "B03.tif"]


def test_specs_whose_bands_share_a_name_are_refused(chips: Path, tmp_path: Path) -> None:
    folder = tmp_path / "chips"
    folder.mkdir()
    (folder / CHIP_SPEC).write_text((chips / CHIP_SPEC).read_text().replace('"b3"', '"b1"'))
    with pytest.raises(ChipsError, match="several bands are called b1"):
        open_chips(folder)
    spec = '{"architecture": "forest", "bands": ["b1", "b1"], "dtype": "uint8", "gsd_m": 1}'
    (folder / MODEL_SPEC).write_text(spec)
    with pytest.raises(ModelError, match="several bands are called b1"):
        read_spec(folder)


def test_a_band_is_not_guessed_among_several_of_its_common_name() -> None:
    assert position("nir", ["NIR", "red"]) == 0
    assert position("nir", ["NIR", "N_I_R", "red"]) is None
    assert position("NIR", ["NIR", "N_I_R", "red"]) == 0
