"""Many scenes in one call: each region that fails costs only itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from networks import save_fcn, spec_for
from small_scene import MakeRaster
from thresholds import BROKEN, W256, WINDOWS, Threshold, classes_of, counts_of, random_pixels, sums

import geoseg
from geoseg.cli import _main
from geoseg.errors import ConfigError, PartialError
from geoseg.job import pool


@pytest.fixture
def threshold(tmp_path: Path) -> Threshold:
    (tmp_path / "notes").mkdir()
    return Threshold(tmp_path / "notes")


@pytest.fixture
def scene(tmp_path: Path, make_raster: MakeRaster) -> Path:
    return make_raster(tmp_path / "scene.tif", random_pixels(), nodata=0)


class TestManyScenes:
    @pytest.fixture
    def several(self, tmp_path: Path, make_raster: MakeRaster) -> list[Path]:
        """Three scenes of 300 x 400 px in a folder of their own: 2 x 2 windows each."""
        (tmp_path / "scenes").mkdir()
        return [
            make_raster(tmp_path / "scenes" / f"{name}.tif", random_pixels(seed, (300, 400)))
            for seed, name in enumerate(("T33.A", "b", "c"))
        ]

    def check(self, folders: list[Path], out: Path, names: list[str]) -> None:
        assert [folder.relative_to(out).as_posix() for folder in folders] == names
        for seed, folder in enumerate(folders):
            expected = random_pixels(seed, (300, 400))[0] > 1000
            assert np.array_equal(classes_of(folder), expected)

    def test_a_list_file_names_them(
        self, several: list[Path], threshold: Threshold, tmp_path: Path
    ) -> None:
        text = "# scenes\n" + "\n".join(f"scenes/{path.name}" for path in several)
        (tmp_path / "list.txt").write_text(text, encoding="utf-8")
        folders = geoseg.predict(tmp_path / "list.txt", threshold, tmp_path / "o", options=W256)
        self.check(folders, tmp_path / "o", ["T33.A", "b", "c"])

    def test_a_pattern_names_them(
        self, several: list[Path], threshold: Threshold, tmp_path: Path
    ) -> None:
        pattern = str(tmp_path / "scenes" / "*.tif")
        folders = geoseg.predict(pattern, threshold, tmp_path / "o", options=W256)
        self.check(folders, tmp_path / "o", ["T33.A", "b", "c"])

    def test_a_stac_item_collection_names_them_by_its_ids(
        self, several: list[Path], threshold: Threshold, tmp_path: Path
    ) -> None:
        ids = ["S2A_T33.2024.06", "plain", "with.tif"]
        items = []
        for name, path in zip(ids, several, strict=True):
            item = pystac.Item(name, None, None, datetime(2024, 6, 1, tzinfo=UTC), {})
            asset = {"href": f"scenes/{path.name}", "type": "image/tiff", "roles": ["data"]}
            item.add_asset("image", pystac.Asset.from_dict(asset))
            items.append(item)
        collection = pystac.ItemCollection(items).to_dict()
        path = tmp_path / "items.json"
        path.write_text(json.dumps(collection), encoding="utf-8")
        folders = geoseg.predict(path, threshold, tmp_path / "o", options=W256)
        self.check(folders, tmp_path / "o", ["S2A_T33.2024.06", "plain", "with"])

    def test_two_scenes_of_one_name_are_refused_before_any_work(
        self, several: list[Path], threshold: Threshold, tmp_path: Path
    ) -> None:
        (tmp_path / "more").mkdir()
        twin = tmp_path / "more" / "b.tif"
        twin.write_bytes(several[1].read_bytes())
        with pytest.raises(ConfigError, match="two scenes have one name.*got b"):
            geoseg.predict([*several, twin], threshold, tmp_path / "o", options=W256)
        assert threshold.calls() == 0

    def test_all_scenes_share_one_cluster(
        self,
        several: list[Path],
        threshold: Threshold,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        started, own_cluster = [], pool.own_cluster

        def count(*arguments: Any) -> Any:
            started.append(arguments)
            return own_cluster(*arguments)

        monkeypatch.setattr(pool, "own_cluster", count)
        folders = geoseg.predict(several, threshold, tmp_path / "o", options=W256)
        assert (len(folders), len(started), threshold.calls()) == (3, 1, 3 * 4)

    def test_a_region_that_fails_again_and_again_costs_only_itself(
        self, scene: Path, several: list[Path], threshold: Threshold, tmp_path: Path,
        make_raster: MakeRaster,
    ) -> None:  # fmt: skip
        pixels = random_pixels()
        pixels[0, 550, 600] = BROKEN
        make_raster(scene, pixels, nodata=0)
        scenes, out = [scene, several[1]], tmp_path / "o"
        with pytest.raises(PartialError) as caught:
            geoseg.predict(scenes, replace(threshold, broken=True), out, options=W256)
        assert caught.value.exit_code == 3
        assert "1 of 7 failed at 3 attempts each" in str(caught.value)
        assert "the sensor was dazzled" in str(caught.value)
        (failure,) = json.loads((out / "failed.json").read_text(encoding="utf-8"))
        assert failure["region"] == f"{scene}, rows 512-600, columns 512-1024"
        assert "the sensor was dazzled" in failure["reason"]
        assert (out / "b" / "run.json").is_file()
        assert not (out / "scene" / "classes.tif").exists()
        # 4 of the other scene, 15 less the 2 of the region that failed
        assert threshold.calls() == 4 + 13
        folders = geoseg.predict(scenes, threshold, out, options=W256)
        assert threshold.calls() == 2
        assert not (out / "failed.json").exists()
        assert np.array_equal(classes_of(folders[0]), pixels[0] > 1000)
        assert counts_of(folders[0])["windows"] == WINDOWS

    @pytest.mark.slow
    def test_the_program_ends_with_3_when_a_block_of_a_scene_is_damaged(
        self, several: list[Path], tmp_path: Path, make_raster: MakeRaster,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        settings = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
        scene = make_raster(tmp_path / "scene.tif", random_pixels(), **settings)
        with rasterio.open(scene) as dataset:
            offset = int(dataset.get_tag_item("BLOCK_OFFSET_4_2", "TIFF", bidx=1))
        data = bytearray(scene.read_bytes())
        data[offset : offset + 64] = bytes(64)
        scene.write_bytes(data)
        model = save_fcn(tmp_path / "model", spec_for(("b1",)))
        out = tmp_path / "o"
        code = _main([
            "predict", str(scene), str(several[1]), "--model", str(model), "-o", str(out),
            "--window", "256", "--halo", "0", "--engine", "torch", "--precision", "fp32",
        ])  # fmt: skip
        assert code == 3
        said = capsys.readouterr().err
        assert "geoseg: PartialError: mapping: 1 of 7 failed at 3 attempts each" in said
        assert "rows 512-600, columns 1024-1100" in said
        (failure,) = json.loads((out / "failed.json").read_text(encoding="utf-8"))
        assert failure["region"] == f"{scene}, rows 512-600, columns 1024-1100"
        assert (out / "b" / "classes.tif").is_file()

    @pytest.mark.slow
    def test_a_predictor_of_the_caller_works_in_processes(
        self, scene: Path, several: list[Path], threshold: Threshold, tmp_path: Path
    ) -> None:
        found = []
        for workers in (0, 2):
            options = W256.model_copy(update={"workers": workers})
            out = tmp_path / f"{workers}"
            folders = geoseg.predict([scene, *several], threshold, out, options=options)
            assert threshold.calls() == WINDOWS + 3 * 4
            found.append([sums(folder) for folder in folders])
        assert found[0] == found[1]
