"""Parts of a map to one COG that is checked before it appears."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rio_cogeo import cog_validate

from geoseg import grid
from geoseg.errors import RetryError
from geoseg.grid import Window
from geoseg.raster.cog import BLOCK, CogSettings, encode_part, write_cog, write_vrt

SHAPE = 700, 1300
GEOBOX = GeoBox(SHAPE, Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), "EPSG:32633")
CLASSES = CogSettings(
    "MODE", {0: (0, 0, 0, 0), 1: (43, 131, 186, 255), 2: (215, 25, 28, 128)},
    {"made by": "geoseg & <co>"},
)  # fmt: skip
type Parts = dict[Window, Path]


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    """(2, 700, 1300): classes 0, 1 and 2 in patches, and a confidence; 255 on the left."""
    rng = np.random.default_rng(5)
    patches = np.kron(rng.integers(0, 3, (70, 130)), np.ones((10, 10))).astype(np.uint8)
    values = np.stack([patches, rng.integers(0, 200, SHAPE, dtype=np.uint8)])
    values[:, :, :50] = 255
    return values


@pytest.fixture
def parts(tmp_path: Path, pixels: NDArray[np.uint8]) -> Parts:
    """The map in six parts of 512 px; the last ones are smaller."""
    found: Parts = {}
    (tmp_path / "work").mkdir()
    for window in grid.split(grid.whole(SHAPE), BLOCK):
        path = tmp_path / "work" / f"r{window.row} c{window.col}.tif"
        path.write_bytes(
            encode_part(pixels[(slice(None), *window.slices)], grid.crop(GEOBOX, window))
        )
        found[window] = path
    return found


@pytest.fixture
def vrt(tmp_path: Path, parts: Parts) -> Path:
    write_vrt(tmp_path / "map.vrt", parts, GEOBOX, {1: "class"}, CLASSES)
    return tmp_path / "map.vrt"


class TestVrt:
    def test_each_band_shows_its_pixels_in_place(
        self, tmp_path: Path, parts: Parts, pixels: NDArray[np.uint8]
    ) -> None:
        for band, settings in ((1, CLASSES), (2, CogSettings("AVERAGE"))):
            write_vrt(tmp_path / "a.vrt", parts, GEOBOX, {band: "class"}, settings)
            with rasterio.open(tmp_path / "a.vrt") as dataset:
                np.testing.assert_array_equal(dataset.read(1), pixels[band - 1])
                assert dataset.descriptions == ("class",)
                assert (dataset.nodata, dataset.dtypes) == (255, ("uint8",))
                assert dataset.transform == GEOBOX.affine
                assert dataset.crs.to_epsg() == 32633

    def test_a_part_still_missing_is_nodata_there(
        self, tmp_path: Path, parts: Parts, pixels: NDArray[np.uint8]
    ) -> None:
        del parts[Window(0, 512, 512, 512)]
        write_vrt(tmp_path / "a.vrt", parts, GEOBOX, {1: "class"}, CLASSES)
        with rasterio.open(tmp_path / "a.vrt") as dataset:
            got = dataset.read(1)
        assert (got[:512, 512:1024] == 255).all()
        np.testing.assert_array_equal(got[512:], pixels[0, 512:])

    def test_a_rotated_grid_keeps_its_six_numbers(self, tmp_path: Path) -> None:
        turned = GeoBox((9, 17), Affine(0.4, 0.3, 1 / 3, 0.3, -0.4, 5e6 / 7), "EPSG:28992")
        (tmp_path / "p.tif").write_bytes(encode_part(np.zeros((1, 9, 17), np.uint8), turned))
        write_vrt(
            tmp_path / "a.vrt",
            {Window(0, 0, 9, 17): tmp_path / "p.tif"},
            turned,
            {1: "class"},
            CLASSES,
        )
        with rasterio.open(tmp_path / "a.vrt") as dataset:
            assert dataset.transform == turned.affine


class TestCog:
    def test_it_is_valid_and_holds_the_same_pixels(
        self, tmp_path: Path, vrt: Path, pixels: NDArray[np.uint8]
    ) -> None:
        final = tmp_path / "classes.tif"
        write_cog(vrt, final, CLASSES)
        assert cog_validate(final, strict=True) == (True, [], [])
        with rasterio.open(final) as dataset:
            np.testing.assert_array_equal(dataset.read(1), pixels[0])
            assert (dataset.nodata, dataset.dtypes, dataset.count) == (255, ("uint8",), 1)
            assert dataset.block_shapes == [(BLOCK, BLOCK)]
            assert dataset.overviews(1) == [2, 4]
            assert (dataset.transform, dataset.crs.to_epsg()) == (GEOBOX.affine, 32633)

    def test_colours_name_and_tags_are_in_the_file(self, tmp_path: Path, vrt: Path) -> None:
        write_cog(vrt, tmp_path / "classes.tif", CLASSES)
        with rasterio.open(tmp_path / "classes.tif") as dataset:
            colours = dataset.colormap(1)
            assert [colours[i][:3] for i in (1, 2)] == [(43, 131, 186), (215, 25, 28)]
            assert dataset.descriptions == ("class",)
            assert dataset.tags()["made by"] == "geoseg & <co>"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["classes.tif", "map.vrt", "work"]

    def test_overviews_of_classes_hold_the_commonest_class(
        self, tmp_path: Path, vrt: Path, pixels: NDArray[np.uint8]
    ) -> None:
        """Patches are 10 px wide, so each 2 x 2 px lies in one of them."""
        write_cog(vrt, tmp_path / "classes.tif", CLASSES)
        with rasterio.open(tmp_path / "classes.tif", overview_level=0) as dataset:
            np.testing.assert_array_equal(dataset.read(1), pixels[0, ::2, ::2])

    def test_overviews_of_measurements_hold_the_mean(
        self, tmp_path: Path, parts: Parts, pixels: NDArray[np.uint8]
    ) -> None:
        settings = CogSettings("AVERAGE")
        write_vrt(tmp_path / "c.vrt", parts, GEOBOX, {2: "class"}, settings)
        write_cog(tmp_path / "c.vrt", tmp_path / "c.tif", settings)
        means = pixels[1].astype(float).reshape(350, 2, 650, 2).mean(axis=(1, 3))
        with rasterio.open(tmp_path / "c.tif", overview_level=0) as dataset:
            assert np.abs(dataset.read(1) - means).max() <= 0.5
            assert dataset.colorinterp[0].name == "gray"

    def test_the_same_pixels_give_the_same_bytes(self, tmp_path: Path, vrt: Path) -> None:
        found = set()
        for number in range(3):
            write_cog(vrt, tmp_path / f"{number}.tif", CLASSES)
            found.add((tmp_path / f"{number}.tif").read_bytes())
        assert len(found) == 1

    @pytest.mark.parametrize("damage", ["gone", "empty", "cut", "zeroed", "html"])
    def test_a_damaged_part_is_a_retry_and_the_old_map_stays(
        self, tmp_path: Path, vrt: Path, parts: Parts, damage: str
    ) -> None:
        final = tmp_path / "confidence.tif"
        final.write_bytes(b"old map")
        write_vrt(vrt, parts, GEOBOX, {2: "class"}, CLASSES)
        part = parts[Window(0, 512, 512, 512)]
        data = part.read_bytes()
        middle = len(data) // 2
        damaged = {
            "empty": b"",
            "cut": data[:middle],
            "zeroed": data[: middle // 8] + bytes(middle) + data[middle // 8 + middle :],
            "html": b"<html>",
        }
        part.unlink()
        if damage != "gone":
            part.write_bytes(damaged[damage])
        with pytest.raises(RetryError) as caught:
            write_cog(vrt, final, CLASSES)
        assert str(caught.value).startswith(f"{final}: cannot be joined from its parts")
        assert final.read_bytes() == b"old map"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["confidence.tif", "map.vrt", "work"]

    def test_a_disk_that_returns_other_pixels_is_found_out(
        self, tmp_path: Path, vrt: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = rasterio.shutil.copy

        def spoil(source: Path, target: Path, **options: str) -> None:
            real(source, target, **options)
            with rasterio.open(target, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
                block = dataset.read(1, window=((600, 700), (0, 100)))
                dataset.write(block ^ 1, 1, window=((600, 700), (0, 100)))

        monkeypatch.setattr(rasterio.shutil, "copy", spoil)
        with pytest.raises(
            RetryError, match="differs from what was written; got other pixels in r"
        ):
            write_cog(vrt, tmp_path / "classes.tif", CLASSES)
        assert not (tmp_path / "classes.tif").exists()

    def test_without_colours_there_is_no_colour_table(self, tmp_path: Path, parts: Parts) -> None:
        plain = replace(CLASSES, colours={})
        write_vrt(tmp_path / "a.vrt", parts, GEOBOX, {1: "class"}, plain)
        write_cog(tmp_path / "a.vrt", tmp_path / "a.tif", plain)
        with rasterio.open(tmp_path / "a.tif") as dataset, pytest.raises(ValueError):
            dataset.colormap(1)


def test_a_part_is_the_same_bytes_every_time(pixels: NDArray[np.uint8]) -> None:
    assert encode_part(pixels, GEOBOX) == encode_part(pixels.copy(), GEOBOX)
