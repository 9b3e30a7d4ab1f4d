"""A whole pipeline from one YAML file: every step once, and again only when something changed."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from small_scene import SCHEME, SmallScene

import geoseg
from geoseg.config import load
from geoseg.errors import ConfigError
from geoseg.steps.train.applicable import inapplicable

TEXT = """
scenes: [{scene}]
labels: {labels}
classes: classes.yaml
out: out
tile: {{size: 32, block: 32, buffer: 0, val: 0.2, test: 0.2}}
train: {{architecture: fcn, epochs: 1, batch: 4}}
"""


@pytest.fixture(scope="module")
def config(
    tmp_path_factory: pytest.TempPathFactory,
    scene: SmallScene,
    labels: Path,
) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "classes.yaml").write_text(SCHEME.to_yaml(), encoding="utf-8")
    text = TEXT.format(scene=scene.path, labels=labels)
    (folder / "pipeline.yaml").write_text(text, encoding="utf-8")
    return folder / "pipeline.yaml"


@pytest.fixture(scope="module")
def made(config: Path) -> list[Path]:
    return geoseg.run(config)


def test_a_pipeline_leaves_map_polygons_report_and_overview(made: list[Path], config: Path) -> None:
    out = config.parent / "out"
    assert [path.relative_to(out).as_posix() for path in made] == [
        "chips", "model", "map", "landcover.gpkg", "landcover.geojson", "map/map.qgz",
        "map/report.html", "report.json", "overview.png",
    ]  # fmt: skip
    assert all(path.exists() for path in made)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert 0 < report["miou"] <= 1
    assert (out / "overview.png").read_bytes().startswith(b"\x89PNG")
    assert "Overall accuracy" in (out / "map" / "report.html").read_text(encoding="utf-8")


def test_a_second_run_skips_every_step_and_says_so(
    made: list[Path], config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = sorted(p for p in (config.parent / "out").rglob("*") if p.is_file())
    before = [(p, p.stat().st_mtime_ns) for p in files]
    with caplog.at_level(logging.INFO, logger="geoseg"):
        assert geoseg.run(config) == made
    skipped = [
        record.message for record in caplog.records if "unchanged, skipped" in record.message
    ]
    assert len(skipped) == 8
    assert [(p, p.stat().st_mtime_ns) for p in files] == before


def test_a_changed_option_runs_its_step_only(
    made: list[Path], config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="geoseg"):
        geoseg.run(config, settings=["title=Another"])
    skipped = [r.message for r in caplog.records if r.message.endswith(": unchanged, skipped")]
    names = {Path(message.removesuffix(": unchanged, skipped")).name for message in skipped}
    assert names == {path.name for path in made} - {"map.qgz", "report.html", "overview.png"}


def test_a_setting_replaces_what_the_file_says(config: Path) -> None:
    plan = load(config, ["train.epochs=7", "tile.bands=[red, green]", "title=Two words"])
    assert plan.train.epochs == 7
    assert plan.tile.bands == ("red", "green")
    assert plan.title == "Two words"
    assert load(config).train.epochs == 1


def test_how_scenes_are_read_holds_for_tile_and_predict(config: Path) -> None:
    plan = load(config, ["read.nodata=255", "predict.nodata=0"])
    assert (plan.tile.nodata, plan.predict.nodata) == (255, 0)


def test_unknown_keys_and_wrong_values_are_all_named(config: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"pipeline\.yaml.*tile\.size.*train\.epoks.*did you mean epochs"
    ):
        load(config, ["train.epoks=3", "tile.size=33"])
    with pytest.raises(ConfigError, match="a.b=value"):
        load(config, ["train.epochs"])


def test_options_that_do_nothing_for_the_architecture_are_named_before_a_step_runs(
    config: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"train\.epochs.*: do nothing .* svm"):
        load(config, ["train.architecture=svm", "train.epochs=5"])


def test_a_pipeline_trains_models_that_take_no_unlabelled_scenes(config: Path) -> None:
    plan = load(config, ["train={architecture: threshold}"]).rooted(config.parent)
    assert inapplicable(plan.train) == []


def test_paths_are_relative_to_the_file(config: Path) -> None:
    plan = load(config, ["scenes=[x.tif, /abs/y.tif]"]).rooted(config.parent)
    assert plan.scenes == (str(config.parent / "x.tif"), str(Path("/abs/y.tif")))
    assert plan.map == plan.scenes
    assert plan.truth == plan.labels


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[2].joinpath("configs").glob("*.yaml"))
)
def test_every_shipped_config_is_valid(path: Path) -> None:
    assert load(path).scenes
