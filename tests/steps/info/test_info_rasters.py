"""`geoseg info` on rasters: facts and problems."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from info_entries import DATA, NORTH_UP, codes, look, message, noise, write
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from geoseg.steps.info import info, unreadable


def test_a_clean_raster_has_its_facts_and_no_problems(tmp_path: Path) -> None:
    entry = look(write(tmp_path / "scene.tif", noise(), nodata=0))
    wanted = {"kind": "raster", "driver": "GTiff", "crs": "EPSG:32633", "width": 128, "height": 96}
    wanted |= {"bands": 3, "dtype": "uint8", "nodata": 0, "problems": []}
    assert {key: entry[key] for key in wanted} == wanted
    assert entry["band_names"] == ["red", "green", "blue"]
    assert entry["resolution"] == [2.0, 2.0]
    assert entry["gsd_m"] == pytest.approx(2.0, rel=1e-3)
    assert entry["bounds"] == [412_000, 5_411_000 - 2 * 96, 412_000 + 2 * 128, 5_411_000]
    assert entry["valid_share"] == 1.0


def test_the_valid_share_is_that_of_the_nodata_value(tmp_path: Path) -> None:
    pixels = noise(1)
    pixels[:, :24] = 0
    entry = look(write(tmp_path / "scene.tif", pixels, nodata=0))
    assert entry["valid_share"] == 0.75
    assert entry["problems"] == []


def test_a_collar_without_a_nodata_value_is_reported_with_its_shares(tmp_path: Path) -> None:
    pixels = noise()
    pixels[:, :, :32] = 0
    entry = look(write(tmp_path / "scene.tif", pixels))
    text = message(entry, "undeclared-nodata")
    border = (96 + 31 * 2) / (2 * 128 + 2 * 94)
    assert "0 fills 25.0% of the pixels" in text
    assert f"{border:.0%} of those along" in text
    assert "--nodata 0" in entry["problems"][0]["fix"]


def test_a_white_collar_is_reported_and_dark_pixels_inside_are_not(tmp_path: Path) -> None:
    pixels = noise()
    pixels[:, :10] = 255
    assert "255 fills" in message(look(write(tmp_path / "a.tif", pixels)), "undeclared-nodata")
    pixels = noise()
    pixels[:, 30:60, 30:60] = 0
    assert codes(look(write(tmp_path / "b.tif", pixels))) == set()


def test_one_pixel_of_minus_9999_is_enough(tmp_path: Path) -> None:
    pixels = noise(1, dtype="float32")
    pixels[0, 40, 50] = -9999
    assert "-9999" in message(look(write(tmp_path / "dem.tif", pixels)), "undeclared-nodata")
    assert codes(look(write(tmp_path / "tagged.tif", pixels, nodata=-9999))) == set()


def test_a_class_raster_with_background_at_its_border_is_fine(tmp_path: Path) -> None:
    pixels = np.zeros((1, 96, 128), dtype="uint8")
    pixels[:, 30:60, 40:80] = 3
    assert codes(look(write(tmp_path / "classes.tif", pixels))) == set()


def test_missing_crs_and_ground_control_points_are_both_reported(tmp_path: Path) -> None:
    points = [
        GroundControlPoint(row=r, col=c, x=15 + c / 1000, y=45 - r / 1000)
        for r, c in ((0, 0), (0, 128), (96, 0), (96, 128))
    ]
    path = tmp_path / "gcp.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=96, width=128, dtype="uint8", gcps=points,
        crs="EPSG:4326",
    ) as target:  # fmt: skip
        target.write(noise(1))
    entry = look(path)
    assert {"no-crs", "no-geotransform"} <= codes(entry)
    assert "4 ground control points" in message(entry, "no-geotransform")
    assert entry["kind"] == "raster"
    assert entry["gsd_m"] is None
    assert not unreadable([entry])


@pytest.mark.parametrize(
    ("transform", "code"),
    [
        (Affine(2.0, 0.6, 412_000, 0.6, -2.0, 5_411_000), "rotated"),
        (Affine(2.0, 0, 412_000, 0, 2.0, 5_411_000), "south-up"),
        (Affine(2.0, 0, 412_000, 0, -3.0, 5_411_000), "not-square"),
    ],
)
def test_unusual_grids_are_notes(tmp_path: Path, transform: Affine, code: str) -> None:
    entry = look(write(tmp_path / "scene.tif", noise(), transform=transform))
    assert [(row["code"], row["level"]) for row in entry["problems"]] == [(code, "note")]


def test_coordinates_that_do_not_fit_the_crs_are_reported(tmp_path: Path) -> None:
    degrees_in_utm = Affine(1e-4, 0, 15.0, 0, -1e-4, 48.9)
    assert "pixel-size" in codes(look(write(tmp_path / "a.tif", noise(), transform=degrees_in_utm)))
    elsewhere = Affine(2.0, 0, 412_000, 0, -2.0, -5_411_000)
    path = write(tmp_path / "c.tif", noise(), transform=elsewhere)
    assert "outside-crs" in codes(look(path))
    assert "not-lonlat" in codes(look(write(tmp_path / "b.tif", noise(), crs="EPSG:4326")))


@pytest.mark.parametrize(
    ("crs", "code"),
    [
        ("+proj=longlat +a=3396190 +b=3376200 +no_defs", "not-earth"),
        ('LOCAL_CS["site grid",UNIT["metre",1]]', "crs-degenerate"),
    ],
)
def test_unusual_crss_are_reported(tmp_path: Path, crs: str, code: str) -> None:
    path = write(tmp_path / "a.tif", noise(), crs=crs, transform=Affine(1e-4, 0, 9, 0, -1e-4, 9))
    assert code in codes(look(path))


def test_nan_and_infinity_are_counted(tmp_path: Path) -> None:
    pixels = noise(1, dtype="float32")
    pixels[0, :24] = np.nan
    pixels[0, 30, 3] = np.inf
    entry = look(write(tmp_path / "a.tif", pixels))
    assert {"nan", "infinite"} <= codes(entry)
    assert "25.0%" in message(entry, "nan")
    tagged = look(write(tmp_path / "b.tif", pixels, nodata=np.nan))
    assert "nan" not in codes(tagged)
    assert tagged["nodata"] is None
    assert tagged["nodata_is_nan"]


def test_an_alpha_band_that_is_not_marked_is_found(tmp_path: Path) -> None:
    pixels = noise(4)
    pixels[3] = 255
    pixels[3, :10] = 0
    path = write(tmp_path / "drone.tif", pixels, photometric="RGB", alpha="NO")
    assert "hidden-alpha" in codes(look(path))
    with rasterio.open(path, "r+") as target:
        target.colorinterp = [*target.colorinterp[:3], ColorInterp.alpha]
    entry = look(path)
    assert "hidden-alpha" not in codes(entry)
    assert entry["validity"] == "alpha"
    assert entry["valid_share"] == pytest.approx(86 / 96, abs=1e-4)


def test_scale_tags_constant_bands_and_complex_pixels_are_reported(tmp_path: Path) -> None:
    path = write(tmp_path / "scaled.tif", noise(2, dtype="int16"))
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (0.0001, 0.0001), (-0.1, -0.1)
    assert "x 0.0001 + -0.1" in message(look(path), "scaled")
    flat = noise(3)
    flat[1] = 7
    assert "1 of 3 bands" in message(look(write(tmp_path / "flat.tif", flat)), "constant")
    assert codes(look(write(tmp_path / "slc.tif", noise(1, dtype="complex64")))) == {"complex"}


def test_a_sidecar_that_overrides_the_file_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", noise(), nodata=0)
    path.with_name("scene.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:32634</SRS></PAMDataset>")
    entry = look(path)
    assert entry["crs"] == "EPSG:32634"
    assert message(entry, "sidecar-overrides") == (
        "scene.tif.aux.xml replaces CRS of the file itself"
    )
    (sidecar,) = info(str(path) + ".aux.xml")
    assert codes(sidecar) == {"sidecar"}
    assert not unreadable([sidecar])


def test_a_large_raster_is_looked_at_in_places_only(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    profile = {"width": 300_000, "height": 200_000, "count": 3, "dtype": "uint8", "tiled": True}
    profile |= {"sparse_ok": True, "bigtiff": "YES", "crs": "EPSG:32633", "transform": NORTH_UP}
    rasterio.open(path, "w", driver="GTiff", **profile).close()
    entry = look(path)
    assert (entry["width"], entry["height"]) == (300_000, 200_000)
    assert {"no-overviews", "constant"} <= codes(entry)


def test_a_file_cut_in_transfer_says_where_it_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", noise(), tiled=True, blockxsize=64, blockysize=64)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    entry = look(path)
    assert entry["kind"] == "raster"
    assert unreadable([entry]) == [str(path)]
    assert f"{len(data) * 2 // 3} bytes" in message(entry, "truncated")


def test_deep_finds_a_broken_block_in_the_middle(tmp_path: Path) -> None:
    pixels = noise(1, 1024, 1280)
    blocks = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    path = write(tmp_path / "scene.tif", pixels, **blocks)
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2])
    with rasterio.open(path) as source:
        start = int(source.get_tag_item("BLOCK_OFFSET_7_7", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    assert "corrupt" not in codes(look(path))
    entry = look(path, deep=True)
    assert message(entry, "corrupt").startswith(
        "1 of 320 blocks are broken; rows 448-512, columns 448-512 cannot be decoded"
    )
    assert unreadable([entry]) == [str(path)]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("au-gcp.tif", "no-geotransform"),
        ("test_rpcs.tif", "no-geotransform"),
        ("rotated.tif", "rotated"),
        ("inverted_lat.tif", "south-up"),
        ("cint16.tif", "complex"),
        ("cog_hirise_mars.tif", "not-earth"),
        ("cog_scale.tif", "scaled"),
        ("image_missing_nodata.tif", "undeclared-nodata"),
        ("nodata-edge.tif", "crs-deprecated"),
    ],
)
def test_odd_rasters_show_what_is_odd(name: str, code: str) -> None:
    path = DATA / "odd_rasters" / name
    if not path.exists():
        pytest.skip("the shared data is not here")
    assert code in codes(look(path))
