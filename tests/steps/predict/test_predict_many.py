"""Maps of areas, of changed scenes, of many scenes, of lazy arrays; what fails costs itself."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dask.array as da
import geopandas
import numpy as np
import pystac
import pytest
import rasterio
import shapely
import xarray as xr
from affine import Affine
from conftest import NORTH_UP, MakeRaster
from networks import TWO_CLASSES, save_fcn, spec_for
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from pyproj import Transformer

import geoseg
from geoseg.classes import ClassScheme
from geoseg.cli import _main
from geoseg.config import load
from geoseg.errors import ApartError, ConfigError, GridError, PartialError, RasterError
from geoseg.files import sha256
from geoseg.grid import Window
from geoseg.job import pool
from geoseg.models.run.predictor import Layers
from geoseg.raster import FileSource, XarraySource

HEIGHT, WIDTH = 600, 1100
W256 = geoseg.PredictOptions(window=256)
WINDOWS = 3 * 5
"""Of 256 px on 600 x 1100 px; they make 2 x 3 regions of 512 px."""

BROKEN = 9999
"""A pixel value that `Threshold` fails on."""

type Array = NDArray[Any]
type WriteArea = Callable[..., Path]


@dataclass(frozen=True)
class Threshold:
    """Bright pixels are buildings; notes each call in a file, which every process can.

    Attributes:
        notes: a folder.
        level: what is bright.
        halo: pixels of context; the map does not depend on them.
        stride: windows start at multiples of it.
        broken: whether it fails on pixels of 9999.
    """

    notes: Path
    level: int = 1000
    halo: int = 0
    stride: int = 4
    broken: bool = False

    @property
    def scheme(self) -> ClassScheme:
        return TWO_CLASSES

    @property
    def fingerprint(self) -> str:
        return f"threshold {self.level}"

    def __call__(self, pixels: Array, valid: Array, core: Window) -> Layers:
        if self.broken and (pixels[0] == BROKEN).any():
            raise RasterError("the sensor was dazzled")
        (self.notes / uuid.uuid4().hex).touch()
        kept = np.where(valid, pixels[0], 0)[core.slices]
        return np.stack([kept > self.level, kept % 101]).astype(np.uint8)

    def calls(self) -> int:
        """How often it was called since this was asked last."""
        found = list(self.notes.iterdir())
        for each in found:
            each.unlink()
        return len(found)


@pytest.fixture
def threshold(tmp_path: Path) -> Threshold:
    (tmp_path / "notes").mkdir()
    return Threshold(tmp_path / "notes")


def random_pixels(seed: int = 4, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Array:
    return np.random.default_rng(seed).integers(200, 2000, (1, *shape), dtype=np.uint16)


@pytest.fixture
def scene(tmp_path: Path, make_raster: MakeRaster) -> Path:
    return make_raster(tmp_path / "scene.tif", random_pixels(), nodata=0)


def classes_of(folder: Path) -> Array:
    with rasterio.open(folder / "classes.tif") as dataset:
        found: Array = dataset.read(1)
    return found


def counts_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))["counts"]
    return found


def sums(folder: Path) -> tuple[str, str]:
    return sha256(folder / "classes.tif"), sha256(folder / "confidence.tif")


def pixel_box(rows: tuple[int, int], cols: tuple[int, int]) -> shapely.Polygon:
    """The frame of pixels of a scene of 0.5 m at (500 000, 5 000 000)."""
    (left, top), (right, bottom) = NORTH_UP @ (cols[0], rows[0]), NORTH_UP @ (cols[1], rows[1])
    return shapely.box(left, bottom, right, top)


@pytest.fixture
def write_area(tmp_path: Path) -> WriteArea:
    """A function (*polygons, epsg) that writes polygons in EPSG:32633 in another CRS."""

    def _write(*polygons: shapely.Polygon, epsg: int = 32633, name: str = "aoi.geojson") -> Path:
        frame = geopandas.GeoDataFrame(geometry=list(polygons), crs=32633).to_crs(epsg)
        path = tmp_path / name
        frame.to_file(path, driver="GeoJSON" if path.suffix == ".geojson" else "GPKG")
        return path

    return _write


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


def test_a_predictor_whose_stride_divides_no_power_of_two_gets_windows_of_its_own(
    scene: Path, threshold: Threshold, tmp_path: Path
) -> None:
    odd = replace(threshold, stride=12, halo=24)
    (folder,) = geoseg.predict(scene, odd, tmp_path / "map")
    assert np.array_equal(classes_of(folder), random_pixels()[0] > 1000)
    with pytest.raises(GridError, match="multiple of 12"):
        geoseg.predict(scene, odd, tmp_path / "no", options=geoseg.PredictOptions(window=256))


class TestLazyArrays:
    @pytest.fixture
    def dates(self) -> xr.DataArray:
        """5 dates of 2 bands of 600 x 1100 px, lazily, with gaps."""
        rng, shape, chunks = da.random.default_rng(9), (5, 2, HEIGHT, WIDTH), (5, 1, 256, 300)
        cube = rng.integers(200, 2000, shape, chunks=chunks).astype(np.float32)
        cube = da.where(rng.random(shape, chunks=chunks) < 0.3, np.nan, cube)
        geobox = GeoBox((HEIGHT, WIDTH), NORTH_UP, "EPSG:32633")
        times = np.arange("2024-06-01", "2024-06-06", dtype="datetime64[D]").astype("M8[ns]")
        coords = xr_coords(geobox, always_yx=True) | {"time": times}
        found = xr.DataArray(cube, coords, ("time", "band", "y", "x"))
        return found.where((found.y < found.y[100]) | (found.x > found.x[149]))

    def lazy(self, dates: xr.DataArray) -> xr.DataArray:
        return dates.median("time")

    @pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
    @pytest.mark.filterwarnings("ignore:All-NaN slice")
    def test_a_median_is_mapped_like_the_file_it_would_make(
        self, workers: int, dates: xr.DataArray, threshold: Threshold, tmp_path: Path,
        make_raster: MakeRaster, caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        options = W256.model_copy(update={"workers": workers})
        composite = self.lazy(dates)
        assert composite.chunks is not None
        (folder,) = geoseg.predict(composite, threshold, tmp_path / "lazy", options=options)
        calls = threshold.calls()
        path = make_raster(tmp_path / "eager.tif", composite.compute().values, nodata=np.nan)
        (eager,) = geoseg.predict(path, threshold, tmp_path / "eager", options=W256)
        assert sums(folder) == sums(eager)
        assert (classes_of(folder)[:100, :150] == 255).all()
        assert threshold.calls() == calls == WINDOWS
        with caplog.at_level(logging.INFO, logger="geoseg"):
            geoseg.predict(self.lazy(dates), threshold, tmp_path / "lazy", options=options)
        assert f"{folder}: unchanged, skipped" in caplog.messages
        assert threshold.calls() == 0

    @pytest.mark.filterwarnings("ignore:All-NaN slice")
    @pytest.mark.slow
    def test_a_run_on_one_goes_on_where_it_stopped(
        self, dates: xr.DataArray, threshold: Threshold, tmp_path: Path
    ) -> None:
        corner = (dates.y < dates.y[550]) & (dates.x > dates.x[1050])
        composite = self.lazy(dates).where(~corner, BROKEN)
        broken = replace(threshold, broken=True)
        with pytest.raises(PartialError):
            geoseg.predict(composite, broken, tmp_path / "map", options=W256)
        first = threshold.calls()
        geoseg.predict(composite, threshold, tmp_path / "map", options=W256)
        assert (first, threshold.calls()) == (WINDOWS - 1, 1)

    def test_a_region_carries_only_what_it_reads(self, dates: xr.DataArray) -> None:
        source = XarraySource(self.lazy(dates))
        part = source.cut(Window(0, 0, 256, 256))
        assert len(dict(part.array.__dask_graph__())) < len(dict(source.array.__dask_graph__())) / 3


class TestMosaic:
    @pytest.fixture
    def zones(self, tmp_path: Path, make_raster: MakeRaster) -> list[Path]:
        """Two scenes of 10 m around 12 E, 50 N, which overlap; one in each zone."""
        west = Affine(10, 0, 713_504, 0, -10, 5_543_007)
        east = Affine(10, 0, 284_203, 0, -10, 5_543_009)
        return [
            make_raster(tmp_path / "west.tif", random_pixels(1, (180, 220)), crs="EPSG:32632",
                        transform=west),
            make_raster(tmp_path / "east.tif", random_pixels(2, (200, 240)), crs="EPSG:32633",
                        transform=east),
        ]  # fmt: skip

    def test_scenes_of_two_zones_become_one_map(self, zones: list[Path], tmp_path: Path) -> None:
        model = save_fcn(tmp_path / "model", spec_for(("b1",), gsd_m=10))
        out = tmp_path / "map"
        options = geoseg.PredictOptions(
            engine="torch", precision="fp32", window=256, grid="EPSG:3035", probabilities=True
        )
        assert geoseg.predict(zones, model, out, options=options) == [out]
        assert sorted(path.name for path in out.iterdir()) == [
            ".choice.json",
            ".regions.json", "classes.tif", "classes.tif.aux.xml", "classes.yaml",
            "confidence.tif", "probabilities.tif", "run.json", "scenes",
        ]  # fmt: skip
        opened = geoseg.open_map(out)
        assert opened.odc.crs.epsg == 3035
        classes, percent = opened.classes.values, opened.probabilities.values.astype(int)
        assert percent.shape == (2, *classes.shape)
        assert np.array_equal(classes == 255, opened.confidence.values == 255)
        valid = classes != 255
        assert 0.5 < valid.mean() < 1
        assert set(np.unique(classes[valid])) == {0, 1}
        assert np.abs(percent.sum(axis=0) - 100)[valid].max() <= 1
        self.check_samples(opened, out / "scenes")

    def check_samples(self, opened: xr.Dataset, scenes: Path) -> None:
        """Each pixel is the one under its centre, in the map that is surest of it."""
        x, y = np.meshgrid(opened.x.values, opened.y.values)
        clear, layers = np.ones(x.shape, bool), []
        for name, epsg in (("west", 32632), ("east", 32633)):
            to_scene = Transformer.from_crs(3035, epsg, always_xy=True)
            found = geoseg.open_map(scenes / name)
            at_col, at_row = ~found.odc.affine @ to_scene.transform(x, y)
            rows, cols = np.floor(at_row).astype(int), np.floor(at_col).astype(int)
            height, width = found.classes.shape
            outside = (rows < 0) | (rows >= height) | (cols < 0) | (cols >= width)
            values = np.stack([found.confidence.values, found.classes.values]).astype(int)
            values = values[:, rows.clip(0, height - 1), cols.clip(0, width - 1)]
            layers.append(np.where(outside, [[[-1]], [[255]]], values))
            off = np.maximum(np.abs(at_col % 1 - 0.5), np.abs(at_row % 1 - 0.5))
            clear &= off < 0.35  # GDAL warps to an eighth of a pixel
        (sure, one), (other_sure, other) = layers
        clear &= (sure != other_sure) | (sure == -1)
        expected = np.where(other_sure > sure, other, one)
        assert np.array_equal(opened.classes.values[clear], expected[clear])
        assert ((sure >= 0) & (other_sure >= 0) & clear).sum() > 1000, "where the scenes overlap"

    @pytest.mark.slow
    def test_a_second_call_does_nothing_and_another_grid_warps_only(
        self, zones: list[Path], threshold: Threshold, tmp_path: Path
    ) -> None:
        out = tmp_path / "map"
        options = W256.model_copy(update={"grid": "EPSG:3035"})
        geoseg.predict(zones, threshold, out, options=options)
        assert threshold.calls() == 2
        before = sums(out)
        geoseg.predict(zones, threshold, out, options=options)
        assert (threshold.calls(), sums(out)) == (0, before)
        options = W256.model_copy(update={"grid": "EPSG:3035@20"})
        geoseg.predict(zones, threshold, out, options=options)
        assert threshold.calls() == 0
        with rasterio.open(out / "classes.tif") as dataset:
            assert dataset.res == (20, 20)
        assert counts_of(out)["nodata_pixels"] > 0

    def test_a_grid_that_is_none_is_refused_before_any_work(
        self, zones: list[Path], threshold: Threshold, tmp_path: Path
    ) -> None:
        options = W256.model_copy(update={"grid": "EPSG:nowhere"})
        with pytest.raises(GridError, match="neither a raster file nor a CRS"):
            geoseg.predict(zones, threshold, tmp_path / "map", options=options)
        assert threshold.calls() == 0
