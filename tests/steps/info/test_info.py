"""`geoseg info` on folders, maps, models and files that cannot be read."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from info_entries import DATA, codes, look, message, noise, write
from networks import save_fcn, spec_for

from geoseg.models.saved.fold_models import write_folds
from geoseg.steps.info import describe, info, unreadable
from geoseg.steps.models import show_model

REMOTE_VRT = (
    '<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1">'
    "<SimpleSource><SourceFilename>/vsicurl/http://127.0.0.1:9/x.tif</SourceFilename>"
    "</SimpleSource></VRTRasterBand></VRTDataset>"
)


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


@pytest.mark.slow
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
