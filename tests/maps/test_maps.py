"""A finished map as xarray: lazy, placed, named, and refused when it is none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from small_scene import NORTH_UP

import geoseg
from geoseg import grid
from geoseg.errors import ClassError, RasterError

GEOBOX = GeoBox((600, 1100), NORTH_UP, "EPSG:32633")
SCHEME = """classes:
- {name: water, color: "#2b83ba"}
- {name: open land, color: "#fdae61"}
- {name: forest, color: "#1a9641"}
- {name: built-up, color: "#d7191c80"}
"""
RNG = np.random.default_rng(5)


def write_map(folder: Path, geobox: GeoBox = GEOBOX, *, probabilities: bool = True) -> Any:
    """A map of four classes with an empty corner; returns its three arrays."""
    shape = tuple(geobox.shape)
    share = RNG.integers(0, 101, (4, *shape), dtype=np.uint8)
    classes, confidence = share.argmax(axis=0).astype(np.uint8), share.max(axis=0)
    for array in (classes, confidence, *share):
        array[:70, :90] = 255
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classes.yaml").write_text(SCHEME)
    write_cog(folder / "classes.tif", classes[None], geobox, "class")
    write_cog(folder / "confidence.tif", confidence[None], geobox, "entropy in percent")
    if probabilities:
        write_cog(folder / "probabilities.tif", share, geobox, "p")
    return classes, confidence, share


def write_cog(path: Path, array: NDArray[np.uint8], geobox: GeoBox, text: str) -> None:
    height, width = geobox.shape
    plain = path.with_suffix(".plain.tif")
    with rasterio.open(
        plain, "w", driver="GTiff", count=len(array), height=height, width=width, dtype="uint8",
        crs=geobox.crs.to_wkt(), transform=geobox.affine, nodata=255, photometric="MINISBLACK",
        alpha="NO",
    ) as dataset:  # fmt: skip
        dataset.write(array)
        dataset.descriptions = (text,) * len(array)
    rasterio.shutil.copy(plain, path, driver="COG", COMPRESS="DEFLATE", BLOCKSIZE="512")
    plain.unlink()


class TestLayers:
    @pytest.mark.parametrize("name", ["", "classes.tif"])
    def test_pixels_are_those_of_the_files(self, tmp_path: Path, name: str) -> None:
        arrays = write_map(tmp_path)
        opened = geoseg.open_map(tmp_path / name)
        for layer, array in zip(("classes", "confidence", "probabilities"), arrays, strict=True):
            assert opened[layer].dtype == np.uint8
            np.testing.assert_array_equal(opened[layer].compute(), array)
        assert opened.classes.dims == opened.confidence.dims == ("y", "x")
        assert opened.probabilities.dims == ("class", "y", "x")

    def test_a_class_is_picked_from_the_probabilities_by_name(self, tmp_path: Path) -> None:
        _, _, share = write_map(tmp_path)
        opened = geoseg.open_map(tmp_path).probabilities
        assert opened["class"].values.tolist() == ["water", "open land", "forest", "built-up"]
        np.testing.assert_array_equal(opened.sel({"class": "forest"}), share[2])

    def test_without_probabilities_there_are_two_layers(self, tmp_path: Path) -> None:
        write_map(tmp_path, probabilities=False)
        assert list(geoseg.open_map(tmp_path)) == ["classes", "confidence"]

    @pytest.mark.parametrize(
        "geobox",
        [
            GEOBOX,
            GeoBox((96, 128), Affine(2e-5, 0, 15, 0, -1e-5, 45), "EPSG:4326"),
            GeoBox((96, 128), Affine(0.4, 0.3, 500_000, 0.3, -0.4, 5_000_000), "EPSG:32633"),
            GeoBox((96, 128), Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000), "EPSG:32633"),
        ],
        ids=["UTM", "degrees", "rotated", "south up"],
    )
    def test_odc_geo_and_rioxarray_know_where_it_lies(self, tmp_path: Path, geobox: GeoBox) -> None:
        write_map(tmp_path, geobox)
        for layer in geoseg.open_map(tmp_path).values():
            assert grid.misfit(geobox, layer.odc.geobox) is None
            assert layer.rio.crs.to_epsg() == geobox.crs.epsg
            assert layer.rio.transform() == pytest.approx(geobox.affine)
            assert (layer.rio.nodata, layer.odc.nodata) == (255, 255)

    def test_coordinates_are_pixel_centres(self, tmp_path: Path) -> None:
        write_map(tmp_path)
        opened = geoseg.open_map(tmp_path)
        assert opened.x.values[[0, 1, -1]].tolist() == [500_000.25, 500_000.75, 500_549.75]
        assert opened.y.values[[0, 1, -1]].tolist() == [4_999_999.75, 4_999_999.25, 4_999_700.25]

    def test_a_map_is_warped_by_rioxarray_with_its_no_data(self, tmp_path: Path) -> None:
        write_map(tmp_path)
        warped = geoseg.open_map(tmp_path).classes.rio.reproject("EPSG:32632")
        assert set(np.unique(warped)) == {0, 1, 2, 3, 255}
        assert warped.odc.geobox.crs.epsg == 32632

    def test_a_map_is_a_scene(self, tmp_path: Path) -> None:
        classes, *_ = write_map(tmp_path)
        source = geoseg.open_scene(geoseg.open_map(tmp_path).classes)
        block = source.read(grid.Window(50, 60, 40, 70))
        np.testing.assert_array_equal(block.valid, classes[50:90, 60:130] != 255)
        np.testing.assert_array_equal(block.pixels[0], classes[50:90, 60:130])


class TestAttributes:
    def test_classes_are_flags_as_the_cf_conventions_have_them(self, tmp_path: Path) -> None:
        write_map(tmp_path)
        opened = geoseg.open_map(tmp_path)
        attrs = opened.classes.attrs
        assert opened.attrs["Conventions"] == "CF-1.11"
        assert attrs["flag_values"].tolist() == [0, 1, 2, 3]
        assert attrs["flag_values"].dtype == opened.classes.dtype
        assert attrs["flag_meanings"] == "water open_land forest built-up"
        assert attrs["class_names"] == ["water", "open land", "forest", "built-up"]
        assert attrs["class_colors"] == ["#2b83ba", "#fdae61", "#1a9641", "#d7191c80"]

    def test_every_layer_has_a_name_a_unit_and_a_no_data_value(self, tmp_path: Path) -> None:
        write_map(tmp_path)
        opened = geoseg.open_map(tmp_path)
        assert {name: (each.long_name, each.units) for name, each in opened.items()} == {
            "classes": ("class", "1"),
            "confidence": ("entropy in percent", "percent"),
            "probabilities": ("probability in percent", "percent"),
        }
        assert {int(each.attrs["_FillValue"]) for each in opened.values()} == {255}

    def test_what_a_coordinate_says_survives_arithmetic(self, tmp_path: Path) -> None:
        write_map(tmp_path)
        opened = geoseg.open_map(tmp_path)
        forest = (opened.classes == 2) & (opened.confidence >= 60)
        assert forest.odc.geobox == opened.odc.geobox


class TestLaziness:
    def test_opening_reads_no_pixel(self, tmp_path: Path) -> None:
        """A COG keeps its header in front: cut off behind it, it opens and cannot be read."""
        write_map(tmp_path, probabilities=False)
        path = tmp_path / "classes.tif"
        path.write_bytes(path.read_bytes()[:4096])
        opened = geoseg.open_map(tmp_path)
        assert opened.classes.shape == (600, 1100)
        with pytest.raises(rasterio.errors.RasterioIOError):
            opened.classes.compute()

    def test_a_map_of_100_000_x_100_000_px_opens_at_once(self, tmp_path: Path) -> None:
        geobox = GeoBox((100_000, 100_000), Affine(10, 0, 4e6, 0, -10, 3e6), "EPSG:3035")
        (tmp_path / "classes.yaml").write_text(SCHEME)
        with rasterio.open(
            tmp_path / "classes.tif", "w", driver="GTiff", count=1, height=100_000, width=100_000,
            dtype="uint8", crs="EPSG:3035", transform=geobox.affine, nodata=255, tiled=True,
            blockxsize=512, blockysize=512, sparse_ok=True, compress="deflate", bigtiff=True,
        ) as dataset:  # fmt: skip
            dataset.write(np.full((1, 512, 512), 3, "u1"), window=((51_200, 51_712), (1024, 1536)))
        opened = geoseg.open_map(tmp_path).classes
        assert opened.nbytes == 10**10
        assert opened.data.npartitions == 49 * 49
        part = opened[51_199:51_202, 1023:1026].compute()
        assert part.values.tolist() == [[255, 255, 255], [255, 3, 3], [255, 3, 3]]
        assert part.x.values.tolist() == [4_010_235, 4_010_245, 4_010_255]

    @pytest.mark.slow
    def test_chunks_are_whole_blocks(self, tmp_path: Path) -> None:
        geobox = GeoBox((2100, 2600), NORTH_UP, "EPSG:32633")
        write_map(tmp_path, geobox)
        opened = geoseg.open_map(tmp_path)
        assert opened.classes.chunks == opened.confidence.chunks == ((2048, 52), (2048, 552))
        assert opened.probabilities.chunks[1:] == opened.classes.chunks

    def test_threads_read_the_right_pixels(self, tmp_path: Path) -> None:
        """One rasterio handle that threads share without a lock gives wrong pixels in silence."""
        classes, confidence, share = write_map(tmp_path)
        opened = geoseg.open_map(tmp_path).chunk(y=64, x=64)

        def check(_: int) -> bool:
            with dask.config.set(scheduler="threads", num_workers=4):
                got = opened.compute()
            return (
                np.array_equal(got.classes, classes)
                and np.array_equal(got.confidence, confidence)
                and np.array_equal(got.probabilities, share)
            )

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(check, range(4)))


class TestRefusals:
    def test_a_folder_that_is_no_map_says_what_it_lacks(self, tmp_path: Path) -> None:
        with pytest.raises(RasterError, match=r"is not a map; got no classes\.tif and no classes"):
            geoseg.open_map(tmp_path)
        write_map(tmp_path)
        (tmp_path / "classes.yaml").unlink()
        with pytest.raises(
            RasterError, match=r"no classes\.yaml in it.* Next: give the folder of its -o"
        ):
            geoseg.open_map(tmp_path)

    def test_a_place_without_a_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(RasterError, match="nowhere: is not a map; got no such folder"):
            geoseg.open_map(tmp_path / "nowhere")

    def test_a_run_that_has_not_finished_is_told_to_go_on(self, tmp_path: Path) -> None:
        (tmp_path / ".work-predict").mkdir()
        with pytest.raises(RasterError, match="unfinished map. Next: run the same geoseg"):
            geoseg.open_map(tmp_path)

    def test_a_layer_on_another_grid_is_named(self, tmp_path: Path) -> None:
        write_map(tmp_path)
        write_cog(tmp_path / "confidence.tif", np.zeros((1, 600, 1000), "u1"),
                  GeoBox((600, 1000), NORTH_UP, "EPSG:32633"), "c")  # fmt: skip
        with pytest.raises(RasterError, match=r"confidence\.tif: is not on the grid.*600 x 1000"):
            geoseg.open_map(tmp_path)

    def test_probabilities_of_other_classes_are_named(self, tmp_path: Path) -> None:
        write_map(tmp_path)
        write_cog(tmp_path / "probabilities.tif", np.zeros((3, 600, 1100), "u1"), GEOBOX, "p")
        with pytest.raises(RasterError, match=r"probabilities\.tif: has other classes.*3 bands"):
            geoseg.open_map(tmp_path)

    def test_a_class_file_that_is_none_is_named(self, tmp_path: Path) -> None:
        write_map(tmp_path)
        (tmp_path / "classes.yaml").write_text("classes: []")
        with pytest.raises(ClassError, match=r"classes\.yaml"):
            geoseg.open_map(tmp_path)
