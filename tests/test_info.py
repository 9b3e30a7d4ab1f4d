"""What `geoseg info` sees: facts and problems of rasters, vectors, folders and broken files."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from networks import save_fcn, spec_for
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from geoseg.models.saved.fold_models import write_folds
from geoseg.steps.info import InfoOptions, describe, info, unreadable
from geoseg.steps.models import show_model

DATA = Path(__file__).parents[2] / "shared" / "data"
KEYS = ("path", "kind", "driver", "crs", "width", "height", "bands", "dtype", "nodata", "problems")
NORTH_UP = Affine(2.0, 0, 412_000, 0, -2.0, 5_411_000)
SQUARE = [[15.0, 45.0], [15.01, 45.0], [15.01, 45.01], [15.0, 45.01], [15.0, 45.0]]

REMOTE_VRT = (
    '<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1">'
    "<SimpleSource><SourceFilename>/vsicurl/http://127.0.0.1:9/x.tif</SourceFilename>"
    "</SimpleSource></VRTRasterBand></VRTDataset>"
)


def noise(bands: int = 3, height: int = 96, width: int = 128, dtype: str = "uint8") -> Any:
    return np.random.default_rng(0).integers(1, 250, (bands, height, width)).astype(dtype)


def write(path: Path, pixels: Any, **options: Any) -> Path:
    profile = {"crs": "EPSG:32633", "transform": NORTH_UP, "driver": "GTiff"} | options
    count, height, width = pixels.shape
    with rasterio.open(
        path, "w", count=count, height=height, width=width, dtype=pixels.dtype, **profile
    ) as target:
        target.write(pixels)
    return path


def geojson(path: Path, *geometries: Any, **more: Any) -> Path:
    features = [{"type": "Feature", "properties": {}, "geometry": each} for each in geometries]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}))
    return path


def polygon(ring: list[list[float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [ring]}


def look(path: Path | str, **options: Any) -> dict[str, Any]:
    (entry,) = info(path, options=InfoOptions(**options))
    json.dumps(entry, allow_nan=False)
    assert all(key in entry for key in KEYS)
    for row in entry["problems"]:
        assert row["code"]
        assert row["message"]
        assert row["level"] in ("error", "warning", "note")
        assert "fix" in row
    return entry


def codes(entry: dict[str, Any]) -> set[str]:
    return {row["code"] for row in entry["problems"]}


def message(entry: dict[str, Any], code: str) -> str:
    return next(str(row["message"]) for row in entry["problems"] if row["code"] == code)


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
    ("name", "content", "code", "text"),
    [
        ("zero.tif", "", "unreadable", "0 bytes"),
        ("page.tif", "<html>403 Forbidden</html>", "unreadable", "HTML"),
        ("lfs.tif", "version https://git-lfs.github.com/spec/v1\n", "unreadable", "Git LFS"),
        ("cut.geojson", '{"type": "FeatureColl', "unreadable", "cannot be read"),
        (
            "net.tif",
            REMOTE_VRT,
            "unsafe",
            "/vsicurl/",
        ),
        (
            "labels.geojson",
            "<OGRVRTDataSource><OGRVRTLayer name='a'></OGRVRTLayer></OGRVRTDataSource>",
            "unsafe",
            "",
        ),
        ("scene.yaml", "bands: [", "unreadable", "YAML"),
    ],
)
def test_what_cannot_be_read_is_an_entry_that_says_why(
    tmp_path: Path, name: str, content: str, code: str, text: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    entry = look(path)
    assert entry["kind"] == "unknown"
    assert codes(entry) == {code}
    assert text in entry["problems"][0]["message"]
    assert unreadable([entry]) == [str(path)]


def test_missing_files_and_remote_ones_do_not_raise() -> None:
    assert codes(look("nowhere.tif")) == {"missing"}
    for path in ("https://example.org/a.tif", "/vsicurl/http://127.0.0.1:9/a.tif", "s3://b/a.tif"):
        assert codes(look(path)) == codes(look(Path(path))) == {"unsafe"}
    assert codes(look("a\0b.tif")) <= {"missing", "unreadable"}


def test_a_pattern_stands_for_the_files_it_matches(tmp_path: Path) -> None:
    for name in ("b.tif", "a.tif"):
        write(tmp_path / name, noise(1))
    assert [Path(each["path"]).name for each in info(f"{tmp_path}/*.tif")] == ["a.tif", "b.tif"]
    assert codes(look(f"{tmp_path}/*.jp2")) == {"missing"}


def test_layers_of_a_geopackage_are_listed_and_the_choice_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "labels.gpkg"
    frame = geopandas.GeoDataFrame({"kind": ["a"]}, geometry=[shapely.box(0, 0, 9, 9)], crs=32633)
    for layer in ("fields", "roads"):
        frame.to_file(path, layer=layer)
    entry = look(path)
    assert (entry["kind"], entry["driver"]) == ("vector", "GPKG")
    assert [layer["name"] for layer in entry["layers"]] == ["fields", "roads"]
    assert entry["layers"][0]["columns"] == ["kind"]
    assert entry["layers"][0]["geometry_types"] == {"Polygon": 1}
    assert codes(entry) == {"several-layers"}


def test_geojson_in_metres_is_found(tmp_path: Path) -> None:
    ring = [[5e5, 5e6], [500009, 5e6], [5e5, 5000009], [5e5, 5e6]]
    entry = look(geojson(tmp_path / "utm.geojson", polygon(ring)))
    assert entry["crs"] == "EPSG:4326"
    assert "500000, 5000000 to 500009, 5000009" in message(entry, "not-lonlat")


def test_broken_geometries_are_counted_with_their_features(tmp_path: Path) -> None:
    bow = [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3], SQUARE[0]]
    path = geojson(tmp_path / "a.geojson", polygon(SQUARE), polygon(bow), None)
    entry = look(path)
    assert codes(entry) == {"invalid-geometry", "null-geometry"}
    assert message(entry, "invalid-geometry").startswith("layer a: 1 of 3 features are not valid")
    assert message(entry, "null-geometry").endswith("feature 2")


def test_points_lines_and_mixtures_are_no_labels(tmp_path: Path) -> None:
    point = {"type": "Point", "coordinates": [15, 45]}
    line = {"type": "LineString", "coordinates": SQUARE}
    assert codes(look(geojson(tmp_path / "a.geojson", point))) == {"no-polygons"}
    assert codes(look(geojson(tmp_path / "b.geojson", polygon(SQUARE), line))) == {"mixed-geometry"}
    assert codes(look(geojson(tmp_path / "c.geojson"))) == {"empty"}


def test_a_layer_without_a_crs_or_with_an_unknown_one_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "nocrs.fgb"
    with pytest.warns(UserWarning, match="crs"):
        geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.box(0, 0, 1, 1)]).to_file(path)
    assert "no-crs" in codes(look(path))
    crs = {"type": "name", "properties": {"name": "EPSG:999999"}}
    entry = look(geojson(tmp_path / "odd.geojson", polygon(SQUARE), crs=crs))
    assert "EPSG:999999" in message(entry, "unusable")


def test_geoparquet_is_described(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"kind": ["a"]}, geometry=[shapely.box(0, 0, 9, 9)], crs=32633)
    frame.to_parquet(tmp_path / "labels.parquet")
    entry = look(tmp_path / "labels.parquet")
    assert (entry["driver"], entry["crs"], entry["problems"]) == ("Parquet", "EPSG:32633", [])
    assert entry["layers"][0]["features"] == 1


def test_a_folder_of_bands_is_a_scene_whose_problems_are_told_once(tmp_path: Path) -> None:
    pixels = noise(1)
    pixels[:, :20] = 0
    for name in ("B02.tif", "B03.tif", "B04.tif"):
        write(tmp_path / name, pixels)
    entry = look(tmp_path)
    assert (entry["kind"], entry["bands"], entry["width"]) == ("scene", 3, 128)
    assert entry["band_names"] == ["B02", "B03", "B04"]
    assert entry["crs"] == "EPSG:32633"
    (row,) = entry["problems"]
    assert row["message"].startswith("B02.tif: ")
    assert row["message"].endswith("(and 2 more files)")
    yaml = tmp_path / "scene.yaml"
    yaml.write_text("bands: {red: B04.tif, green: B03.tif}\n")
    assert look(yaml)["band_names"] == ["red", "green"]


def test_folders_that_are_nothing_say_what_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    entry = look(tmp_path)
    assert entry["kind"] == "unknown"
    assert "notes.txt" in entry["problems"][0]["message"]
    (tmp_path / ".work-0123").mkdir()
    assert "unfinished" in look(tmp_path)["problems"][0]["message"]


def test_a_class_file_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text('classes: [{name: water, color: "#2b83ba"}]\n')
    entry = look(path)
    assert codes(entry) == {"class-file"}
    assert not unreadable([entry])
    assert entry["classes"] == [{"name": "water", "color": "#2b83ba"}]


def test_a_map_tells_class_shares_and_what_is_missing(tmp_path: Path) -> None:
    pixels = np.full((1, 96, 128), 255, dtype="uint8")
    pixels[:, :48, :64], pixels[:, 48:, :64] = 0, 1
    write(tmp_path / "classes.tif", pixels, nodata=255)
    record = {
        "step": "predict", "key": "k", "inputs": [], "options": {},
        "outputs": {"classes.tif": "0" * 64, "confidence.tif": "0" * 64},
        "counts": {"pixels": {"land": 4608, "water": 1536}},
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(record))
    entry = look(tmp_path)
    assert (entry["kind"], entry["path"], entry["nodata"]) == ("map", str(tmp_path), 255)
    assert [(each["name"], each["share"]) for each in entry["classes"]] == [
        ("land", 0.75),
        ("water", 0.25),
    ]
    assert message(entry, "output-missing") == "confidence.tif is not there"
    assert "classes.tif" in message(look(tmp_path, deep=True), "output-changed")


@pytest.fixture
def folds(tmp_path: Path) -> Path:
    """A model directory of two folds, which reach a validation mIoU of 0.7 and 0.8."""
    models = []
    for number, miou in ((1, 0.7), (2, 0.8)):
        spec = spec_for(("red", "nir")).model_copy(update={"metrics": {"val_miou": miou}})
        models.append(save_fcn(tmp_path / "model" / f"fold-{number}", spec))
    write_folds(tmp_path / "model", models)
    return tmp_path / "model"


def test_a_directory_of_folds_is_a_model_with_the_score_of_each(folds: Path) -> None:
    entry = look(folds)
    assert (entry["kind"], entry["path"], entry["problems"]) == ("model", str(folds), [])
    assert (entry["architecture"], entry["band_names"]) == ("fcn", ["red", "nir"])
    assert entry["metrics"] == {"val_miou_mean": 0.75, "val_miou_sd": 0.070711}
    assert entry["folds"] == [
        {"name": "fold-1", "metrics": {"val_miou": 0.7}},
        {"name": "fold-2", "metrics": {"val_miou": 0.8}},
    ]
    text = describe([entry])
    assert "classes land, building; val_miou_mean 0.75; val_miou_sd 0.0707\n" in text
    assert text.endswith("  fold-1: val_miou 0.7\n  fold-2: val_miou 0.8")
    shown = show_model(folds)
    assert (shown["mean"], shown["sd"], shown["val_miou"]) == (0.75, 0.070711, (0.7, 0.8))
    assert shown["folds"]["fold-2"] == show_model(folds / "fold-2")


def test_folds_that_are_damaged_lost_or_not_trained_yet_are_problems(folds: Path) -> None:
    (folds / "fold-1" / "model.safetensors").write_bytes(b"")
    assert message(look(folds), "damaged").startswith("fold-1: model.safetensors")
    shutil.rmtree(folds / "fold-1")
    assert message(look(folds), "fold-missing") == "fold-1 is not there"
    (folds / "folds.json").write_text("{}")
    assert "the scores of the folds" in message(look(folds), "unreadable")
    (folds / "folds.json").unlink()
    assert codes(look(folds)) == {"unfinished"}


def test_a_broken_chip_set_or_model_is_unknown(tmp_path: Path) -> None:
    for name, what in (("chips.json", "chip directory"), ("spec.json", "model directory")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("{}")
        entry = look(folder)
        assert entry["kind"] == "unknown"
        assert what in entry["problems"][0]["message"]


def test_the_text_is_short_and_free_of_terminal_codes(tmp_path: Path) -> None:
    path = shutil.move(write(tmp_path / "a.tif", noise()), tmp_path / "b\033[31m\nc.tif")
    text = describe(info([path, tmp_path / "gone.tif"]))
    assert "\033" not in text
    assert "b\\x1b[31m\\nc.tif: raster (GTiff)" in text
    assert "  128 x 96 px, 3 bands, uint8\n  2 m pixels, EPSG:32633 WGS 84 / UTM zone 33N" in text
    assert "  x is not there" in text
    assert "    -> check the path" in text


@pytest.mark.parametrize("group", ["odd_rasters", "odd_vectors", "bad_input"])
def test_nothing_real_raises_or_leaks(
    group: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    files = sorted((DATA / group).glob("*"))
    if not files:
        pytest.skip("the shared data is not here")
    with caplog.at_level(logging.WARNING):
        entries = info(files)
    json.dumps(entries, allow_nan=False)
    assert len(entries) == len(files)
    assert describe(entries)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


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
