"""Maps of areas: nothing outside is mapped nor computed."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from small_scene import NORTH_UP, MakeRaster
from thresholds import (
    HEIGHT,
    W256,
    WIDTH,
    Threshold,
    WriteArea,
    area_writer,
    classes_of,
    counts_of,
    pixel_box,
    random_pixels,
)

import geoseg
from geoseg.config import load
from geoseg.errors import ApartError, ConfigError
from geoseg.raster import FileSource


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


class TestArea:
    def test_outside_of_it_nothing_is_mapped_nor_computed(
        self, scene: Path, threshold: Threshold, write_area: WriteArea, tmp_path: Path
    ) -> None:
        aoi = write_area(pixel_box((100, 200), (300, 500)))
        options = W256.model_copy(update={"aoi": aoi})
        (folder,) = geoseg.predict(scene, threshold, tmp_path / "map", options=options)
        assert threshold.calls() == 1, "rows 0-255, columns 256-511"
        expected = np.full((HEIGHT, WIDTH), 255, np.uint8)
        expected[100:200, 300:500] = random_pixels()[0, 100:200, 300:500] > 1000
        assert np.array_equal(classes_of(folder), expected)
        counts = counts_of(folder)
        assert (counts["windows"], counts["skipped_windows"]) == (1, 3)
        assert counts["outside_pixels"] == HEIGHT * WIDTH - 512 * 512
        assert counts["nodata_pixels"] == HEIGHT * WIDTH - 100 * 200
        assert sum(counts["pixels"].values()) == 100 * 200

    @pytest.mark.parametrize("region", [512, 1024])
    def test_the_map_does_not_depend_on_regions(
        self,
        region: int,
        scene: Path,
        threshold: Threshold,
        write_area: WriteArea,
        tmp_path: Path,
    ) -> None:
        corner = shapely.Point(NORTH_UP @ (512, 512)).buffer(60)
        aoi = write_area(corner, pixel_box((0, 40), (1000, 1100)))
        found = {}
        for name, update in (("aoi", {"aoi": aoi, "region": region}), ("all", {})):
            options = W256.model_copy(update=update)
            (folder,) = geoseg.predict(scene, threshold, tmp_path / name, options=options)
            found[name] = classes_of(folder)
        cols, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
        x, y = NORTH_UP @ (cols, rows)
        inside = shapely.contains_xy(corner, x, y)
        inside[:40, 1000:] = True
        assert np.array_equal(found["aoi"], np.where(inside, found["all"], 255))

    @pytest.mark.parametrize(
        ("epsg", "name"), [(4326, "aoi.geojson"), (3035, "aoi.gpkg"), (32632, "aoi.gpkg")]
    )
    def test_it_may_be_in_any_crs(
        self,
        epsg: int,
        name: str,
        scene: Path,
        threshold: Threshold,
        write_area: WriteArea,
        tmp_path: Path,
    ) -> None:
        # Half a pixel beyond the pixels, so that no centre lies on the edge.
        box = pixel_box((100, 200), (300, 500))
        options = W256.model_copy(update={"aoi": write_area(box, epsg=epsg, name=name)})
        (folder,) = geoseg.predict(scene, threshold, tmp_path / "map", options=options)
        expected = np.zeros((HEIGHT, WIDTH), bool)
        expected[100:200, 300:500] = True
        assert np.array_equal(classes_of(folder) != 255, expected)

    def test_an_area_apart_from_the_scene_is_an_error_that_shows_both(
        self, scene: Path, threshold: Threshold, write_area: WriteArea, tmp_path: Path
    ) -> None:
        far = shapely.affinity.translate(pixel_box((0, 9), (0, 9)), xoff=50_000)
        options = W256.model_copy(update={"aoi": write_area(far)})
        with pytest.raises(ApartError, match=r"aoi\.geojson"):
            geoseg.predict(scene, threshold, tmp_path / "map", options=options)
        assert not (tmp_path / "map").exists()

    def test_of_several_scenes_the_one_that_lies_outside_is_left_out_and_named(
        self,
        scene: Path,
        threshold: Threshold,
        write_area: WriteArea,
        tmp_path: Path,
        make_raster: MakeRaster,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        away = Affine.translation(50_000, 0) @ NORTH_UP
        far = make_raster(tmp_path / "far.tif", random_pixels(1, (300, 400)), transform=away)
        aoi = write_area(pixel_box((0, 9), (0, 9)))
        options = W256.model_copy(update={"aoi": aoi})
        with caplog.at_level(logging.WARNING, logger="geoseg"):
            folders = geoseg.predict([far, scene], threshold, tmp_path / "maps", options=options)
        assert f"{far}: lies outside {aoi}, not mapped" in caplog.messages
        assert all((folder / "classes.tif").is_file() for folder in folders)
        assert (classes_of(folders[-1]) != 255).sum() == 81
        assert not list(tmp_path.glob("maps/far*"))
        with pytest.raises(ConfigError, match="all scenes lie outside"):
            geoseg.predict([far, FileSource(far)], threshold, tmp_path / "x", options=options)

    def test_an_area_without_a_region_is_an_empty_map(
        self, threshold: Threshold, write_area: WriteArea, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        """A scene that stands on its corner leaves corners of its frame empty."""
        turned = Affine.translation(5e5, 5e6) @ Affine.rotation(45) @ Affine.scale(0.5, -0.5)
        scene = make_raster(tmp_path / "turned.tif", random_pixels(1, (600, 600)), transform=turned)
        _, bottom, right, _ = FileSource(scene).geobox.extent.boundingbox.bbox
        aoi = write_area(shapely.box(right - 20, bottom + 1, right - 1, bottom + 20))
        options = W256.model_copy(update={"aoi": aoi})
        (folder,) = geoseg.predict(scene, threshold, tmp_path / "map", options=options)
        assert threshold.calls() == 0
        assert (classes_of(folder) == 255).all()

    def test_a_pipeline_looks_for_it_beside_its_file(self, tmp_path: Path) -> None:
        text = "scenes: [a.tif]\nlabels: l.gpkg\nclasses: c.yaml\npredict: {aoi: below/x.geojson}\n"
        (tmp_path / "pipeline.yaml").write_text(text, encoding="utf-8")
        plan = load(tmp_path / "pipeline.yaml").rooted(tmp_path)
        assert plan.predict.aoi == tmp_path / "below" / "x.geojson"
