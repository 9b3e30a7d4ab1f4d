"""The command line: instant help, one clear line when something is wrong, the right exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import COMMANDS
from networks import save_fcn, spec_for
from small_scene import SCHEME, MakeRaster, SmallScene

from geoseg.cli import Terminated, _main

HEAVY = {"torch", "rasterio", "numpy", "dask", "geopandas", "matplotlib"}


def geoseg(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "geoseg", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "100"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from geoseg.cli import _main\n"
        f"for words in {[[], *([command] for command in COMMANDS)]}:\n"
        "    assert _main([*words, '--help']) == 0\n"
        f"    heavy = {HEAVY} & set(sys.modules)\n"
        "    assert not heavy, (words, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: geoseg") == 1 + len(COMMANDS)


def test_help_names_every_command() -> None:
    done = geoseg("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)


def test_a_missing_file_is_one_line_and_exit_2(tmp_path: Path) -> None:
    done = geoseg("predict", tmp_path / "gone.tif", "--model", tmp_path, "-o", tmp_path / "map")
    assert done.returncode == 2
    assert done.stderr.startswith("geoseg: ModelError: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_mistyped_option_is_answered_with_the_right_one(tmp_path: Path) -> None:
    done = geoseg("train", tmp_path, "-o", tmp_path / "m", "--epoch", "3")
    assert done.returncode == 2
    assert "--epochs" in done.stderr


def test_a_value_out_of_range_names_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["tile", "a.tif", "--labels", "l", "--classes", "c", "-o", "x", "--size", "33"]
    assert _main(arguments) == 2
    assert capsys.readouterr().err == ("geoseg: --size: Input should be a multiple of 32; got 33\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--simplify", "2.5"],
            (
                "--simplify: must be dp:METRES, such as dp:2.5, or vw:SQUARE_METRES, such as "
                "vw:25, above 0; got 2.5"
            ),
        ),
        (["--min-area-m2", "nan"], "--min-area-m2: Input should be a finite number; got nan"),
        (["--split-at", "inf"], "--split-at: Input should be a finite number; got inf"),
    ],
)
def test_what_an_option_says_of_itself_comes_without_the_words_of_a_library(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(["vectorize", "a.tif", "-o", "x.gpkg", *arguments]) == 2
    assert capsys.readouterr().err == f"geoseg: {said}\n"


def test_a_bug_of_ours_is_exit_1_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("geoseg.cli.step_commands.train", lambda *_, **__: 1 / 0)
    assert _main(["train", "chips", "-o", "m"]) == 1
    error = capsys.readouterr().err
    assert "ZeroDivisionError" in error
    assert "--debug" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(("interrupt", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_an_interrupt_has_an_exit_code_of_its_own(
    interrupt: type[BaseException],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise interrupt

    monkeypatch.setattr("geoseg.cli.step_commands.train", interrupted)
    assert _main(["train", "chips", "-o", "m"]) == code
    assert "same command" in capsys.readouterr().err


def test_predict_vectorize_evaluate_print_what_they_made(
    scene: SmallScene,
    labels: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = save_fcn(tmp_path / "model", spec_for(("b1", "b2", "b3"), scheme=SCHEME))
    out = tmp_path / "map"
    assert _main(["predict", str(scene.path), "--model", str(model), "-o", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "confidence.tif")
    polygons = tmp_path / "land.geojson"
    assert _main(["vectorize", str(out / "classes.tif"), "-o", str(polygons)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(polygons)
    other = ["--classes", str(out / "classes.yaml"), "-o", str(tmp_path / "other.geojson")]
    assert _main(["vectorize", str(out / "classes.tif"), *other]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == other[-1]
    said = [json.loads(each.read_bytes())["features"] for each in (polygons, Path(other[-1]))]
    assert said[0] == said[1]
    assert _main(["evaluate", str(out), "--truth", str(labels), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) >= {"miou", "overall_accuracy", "n_pixels", "classes", "confusion"}
    assert set(report["classes"][0]) == {
        "id", "name", "iou", "f1", "precision", "recall", "support",
    }  # fmt: skip
    assert _main(["evaluate", str(out), "--truth", str(labels)]) == 0
    assert "mean IoU" in capsys.readouterr().out


def test_info_exits_2_for_a_file_it_cannot_read(
    tmp_path: Path, make_raster: MakeRaster, capsys: pytest.CaptureFixture[str]
) -> None:
    good = make_raster(tmp_path / "good.tif", np.ones((96, 128), np.uint8))
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"<html>403 Forbidden</html>")
    assert _main(["info", str(good), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["kind"], entry["width"], entry["height"]) == ("raster", 128, 96)
    assert _main(["info", str(good), str(bad)]) == 2
    assert "bad.tif" in capsys.readouterr().out


def test_the_catalog_lists_shows_and_validates_the_demo(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _main(["catalog", "list"]) == 0
    assert "demo" in capsys.readouterr().out
    assert _main(["catalog", "show", "demo"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "demo"
    assert _main(["catalog", "validate"]) == 0


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGPIPE")
def test_a_reader_who_leaves_is_no_bug() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "geoseg", "catalog", "list"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
