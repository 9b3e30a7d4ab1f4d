"""Changed scenes: regions that stayed the same come from the previous map."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from networks import save_fcn, spec_for
from small_scene import MakeRaster
from thresholds import (
    W256,
    WINDOWS,
    Threshold,
    WriteArea,
    area_writer,
    classes_of,
    counts_of,
    pixel_box,
    random_pixels,
    sums,
)

import geoseg


@pytest.fixture
def threshold(tmp_path: Path) -> Threshold:
    (tmp_path / "notes").mkdir()
    return Threshold(tmp_path / "notes")


@pytest.fixture
def scene(tmp_path: Path, make_raster: MakeRaster) -> Path:
    return make_raster(tmp_path / "scene.tif", random_pixels(), nodata=0)


@pytest.fixture
def write_area(tmp_path: Path) -> WriteArea:
    return area_writer(tmp_path)


class TestUnchanged:
    def again(
        self, scene: Path, threshold: Threshold, out: Path, **update: Any
    ) -> tuple[int, dict[str, Any]]:
        """How many windows a run computes, and what it says of them."""
        options = W256.model_copy(update=update)
        (folder,) = geoseg.predict(scene, threshold, out, options=options)
        return threshold.calls(), counts_of(folder)

    @pytest.mark.parametrize(
        ("halo", "at", "windows"),
        [
            (0, (300, 700), 4),
            (8, (300, 515), 8),
            pytest.param(0, (590, 1090), 1, marks=pytest.mark.slow),
            pytest.param(8, (505, 519), 12, marks=pytest.mark.slow),
        ],
    )
    def test_only_regions_that_see_a_change_are_computed_again(
        self,
        halo: int,
        at: tuple[int, int],
        windows: int,
        scene: Path,
        threshold: Threshold,
        tmp_path: Path,
        make_raster: MakeRaster,
    ) -> None:
        """A region is 2 x 2 windows, the last in a row or column fewer; it sees 8 px beyond."""
        threshold, pixels = replace(threshold, halo=halo), random_pixels()
        assert self.again(scene, threshold, tmp_path / "map")[0] == WINDOWS
        pixels[0, at[0] : at[0] + 4, at[1] : at[1] + 4] = 1999
        make_raster(scene, pixels, nodata=0)
        calls, counts = self.again(scene, threshold, tmp_path / "map")
        assert calls == counts["windows"] == windows
        assert counts["unchanged_windows"] == WINDOWS - windows
        self.again(scene, threshold, tmp_path / "fresh")
        assert sums(tmp_path / "map") == sums(tmp_path / "fresh")
        assert (classes_of(tmp_path / "map")[at] == 1).all()

    def test_a_run_on_the_same_scene_does_nothing_and_overwrite_does_all(
        self, scene: Path, threshold: Threshold, tmp_path: Path
    ) -> None:
        out = tmp_path / "map"
        assert self.again(scene, threshold, out)[0] == WINDOWS
        assert self.again(scene, threshold, out)[0] == 0
        assert self.again(scene, threshold, out, overwrite=True)[0] == WINDOWS

    def test_another_model_or_other_options_reuse_nothing(
        self, scene: Path, threshold: Threshold, tmp_path: Path
    ) -> None:
        out = tmp_path / "map"
        self.again(scene, threshold, out)
        calls, counts = self.again(scene, replace(threshold, level=500), out)
        assert (calls, counts["unchanged_windows"]) == (WINDOWS, 0)
        calls, counts = self.again(scene, threshold, out, nodata=333)
        assert (calls, counts["unchanged_windows"]) == (WINDOWS, 0)
        calls, counts = self.again(scene, threshold, out, window=512)
        assert (calls, counts["unchanged_windows"]) == (6, 0)

    def test_weights_that_changed_reuse_nothing(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        scene = make_raster(tmp_path / "small.tif", random_pixels(1, (100, 150)))
        options = geoseg.PredictOptions(engine="torch", precision="fp32", window=256)
        for stem, mean in (("one", 1000.0), ("two", 1100.0)):
            spec = spec_for(("b1",)).model_copy(update={"mean": (mean,)})
            model = save_fcn(tmp_path / stem, spec)
            (folder,) = geoseg.predict(scene, model, tmp_path / "map", options=options)
            assert counts_of(folder)["unchanged_windows"] == 0

    def test_an_area_that_grew_keeps_what_it_had(
        self, scene: Path, threshold: Threshold, write_area: WriteArea, tmp_path: Path
    ) -> None:
        out = tmp_path / "map"
        aoi = write_area(pixel_box((0, 100), (0, 100)))
        assert self.again(scene, threshold, out, aoi=aoi)[0] == 1
        write_area(pixel_box((0, 100), (0, 100)), pixel_box((550, 560), (1050, 1090)))
        calls, counts = self.again(scene, threshold, out, aoi=aoi)
        assert (calls, counts["unchanged_windows"]) == (1, 4)
        assert (classes_of(out) != 255).sum() == 100 * 100 + 10 * 40

    def test_a_map_that_was_touched_is_not_trusted(
        self, scene: Path, threshold: Threshold, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        out = tmp_path / "map"
        self.again(scene, threshold, out)
        data = bytearray((out / "confidence.tif").read_bytes())
        data[-100] ^= 1
        (out / "confidence.tif").write_bytes(data)
        assert self.again(scene, threshold, out)[0] == WINDOWS
