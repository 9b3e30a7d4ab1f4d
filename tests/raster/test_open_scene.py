"""Files, folders, patterns and lists opened as scenes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from raster_sources import GREY, WHOLE, array_of, coarse
from small_scene import MakeRaster, SmallScene

from geoseg.errors import ConfigError, InputError, RasterError, UnsafeError
from geoseg.options import ReadOptions
from geoseg.raster import Band, FileSource, XarraySource, open_scene, open_scenes
from geoseg.raster.multi_file_scenes import band_names

type Make = Callable[..., FileSource]


@pytest.fixture
def make(tmp_path: Path, make_raster: MakeRaster) -> Make:
    """A function (array, name, **profile) that writes a raster and returns its source."""
    return lambda array, name="a.tif", **profile: FileSource(
        make_raster(tmp_path / name, array, **profile)
    )


class TestOpenScene:
    def test_a_scene_without_a_crs_says_so_and_the_option_heals_it(self, make: Make) -> None:
        path = make(GREY, crs=None).path
        with pytest.raises(RasterError) as caught:
            open_scene(path)
        assert str(caught.value) == f"{path}: has no CRS. Next: name it: --crs EPSG:32633"
        assert open_scene(path, ReadOptions(crs="EPSG:28992")).geobox.crs.epsg == 28992

    @pytest.mark.parametrize("crs", ["nonsense", "EPSG:99999999"])
    def test_a_crs_nobody_knows_is_named(self, scene: SmallScene, crs: str) -> None:
        with pytest.raises(RasterError, match=f"scene.tif: the CRS is not known; got {crs}"):
            open_scene(scene.path, ReadOptions(crs=crs))

    def test_bands_are_picked_by_name_or_number(self, scene: SmallScene) -> None:
        source = open_scene(scene.path, ReadOptions(bands=("b3", "1")))
        np.testing.assert_array_equal(source.read(WHOLE).pixels, scene.pixels[[2, 0]])

    @pytest.mark.parametrize("band", ["nir", "0", "4", "-1"])
    def test_a_band_that_is_not_there_is_named_with_those_that_are(
        self, scene: SmallScene, band: str
    ) -> None:
        with pytest.raises(ConfigError, match=f"has no band '{band}'; got b1, b2, b3"):
            open_scene(scene.path, ReadOptions(bands=(band,)))

    def test_a_url_is_refused_as_one(self) -> None:
        with pytest.raises(UnsafeError, match="only local files are read"):
            open_scene("https://example.com/a.tif")

    def test_an_array_and_a_source_are_scenes(self, scene: SmallScene) -> None:
        source = FileSource(scene.path)
        assert open_scene(source) == source
        assert isinstance(open_scene(array_of(scene)), XarraySource)


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path, make_raster: MakeRaster) -> Path:
        for name in ("B02", "B03", "B8A"):
            make_raster(tmp_path / f"S2A, 2018-07-01, T33 {name}_10m.tif", GREY)
        coarse(make_raster, tmp_path / "S2A, 2018-07-01, T33 B05_20m.tif")
        (tmp_path / "metadata.xml").touch()
        return tmp_path

    def test_single_band_files_are_one_scene(self, folder: Path) -> None:
        source = open_scene(folder)
        assert [band.name for band in source.bands] == ["B02", "B03", "B05", "B8A"]
        assert source.geobox.shape == (96, 128)
        assert source.dtype == np.uint16

    def test_one_multiband_file_is_that_scene(self, scene: SmallScene) -> None:
        assert len(open_scene(scene.path.parent).bands) == 3

    def test_multiband_files_are_refused_and_named(
        self, folder: Path, make_raster: MakeRaster
    ) -> None:
        make_raster(folder / "rgb.tif", np.stack([GREY] * 3))
        with pytest.raises(RasterError) as caught:
            open_scene(folder)
        assert str(folder / "rgb.tif") in str(caught.value)
        assert "got 3 bands; wanted one band per file" in str(caught.value)

    def test_an_empty_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(RasterError, match="holds no raster"):
            open_scene(tmp_path)

    def test_a_yaml_file_names_the_bands(self, folder: Path) -> None:
        path = folder / "scene.yaml"
        path.write_text(
            "nodata: 0\nbands:\n"
            '  nir: "S2A, 2018-07-01, T33 B8A_10m.tif"\n'
            '  blue: "S2A, 2018-07-01, T33 B02_10m.tif"\n'
        )
        source = open_scene(path)
        assert source.bands == (Band("nir", 0.0), Band("blue", 0.0))
        assert open_scene(path, ReadOptions(nodata=9)).bands[0].nodata == 9

    @pytest.mark.parametrize(
        ("text", "message"),
        [("band: {a: b.tif}", "got bands: Field required"), ("bands: [a.tif]", "got bands: Input")],
    )
    def test_a_yaml_file_that_is_no_scene_is_named(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        path = tmp_path / "scene.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=rf"scene\.yaml: does not describe.*{message}"):
            open_scene(path)


class TestBandNames:
    @pytest.mark.parametrize(
        ("stems", "names"),
        [
            (["S2, 2018, B02", "S2, 2018, B8A"], ["B02", "B8A"]),
            (["T33_B02_10m", "T33_B05_20m"], ["B02", "B05"]),
            (["LC08_2020_SR_B4", "LC08_2020_SR_B10"], ["B4", "B10"]),
            (["a_vv_db", "a_vh_db"], ["vv", "vh"]),
            (["red", "near infrared"], ["red", "near infrared"]),
            (["B02_2018", "B02_2019"], ["B02_2018", "B02_2019"]),
        ],
    )
    def test_files_are_named_by_what_tells_them_apart(
        self, stems: list[str], names: list[str]
    ) -> None:
        assert band_names([Path(f"{stem}.tif") for stem in stems]) == names


class TestOpenScenes:
    def test_a_pattern_stands_for_its_files_in_order(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        for name in ("b", "a", "[c]"):
            make_raster(tmp_path / f"{name}.tif", GREY)
        found = open_scenes([str(tmp_path / "?.tif"), str(tmp_path / "[c].tif")])
        assert [Path(source.name).stem for source in found] == ["a", "b", "[c]"]

    def test_a_pattern_without_files_says_where_it_looked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(RasterError, match="matches no file; got current folder"):
            open_scenes(["no*.tif"])

    def test_all_scenes_that_fail_stand_in_one_error(
        self, tmp_path: Path, make_raster: MakeRaster, scene: SmallScene
    ) -> None:
        make_raster(tmp_path / "nocrs.tif", GREY, crs=None)
        (tmp_path / "html.tif").write_text("<html>")
        (tmp_path / "remote.tif").write_text(
            '<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand><SimpleSource>'
            "<SourceFilename>/vsicurl/http://127.0.0.1:9/x</SourceFilename>"
            "</SimpleSource></VRTRasterBand></VRTDataset>"
        )
        with pytest.raises(InputError) as caught:
            open_scenes([scene.path, *sorted(tmp_path.glob("*.tif"))])
        text = str(caught.value)
        assert text.startswith("3 scenes cannot be used: ")
        assert all(name in text for name in ("nocrs.tif", "html.tif", "remote.tif"))
        assert "scene.tif" not in text

    def test_one_that_fails_keeps_its_own_error(self, tmp_path: Path, scene: SmallScene) -> None:
        with pytest.raises(UnsafeError):
            open_scenes([scene.path, "s3://bucket/a.tif"])


@pytest.mark.parametrize(("bands", "alpha"), [(1, 1), (3, 4)])
def test_a_band_that_cannot_be_alpha_is_refused(
    tmp_path: Path, make_raster: MakeRaster, bands: int, alpha: int
) -> None:
    path = make_raster(tmp_path / "scene.tif", np.ones((bands, 96, 128), np.uint8))
    with pytest.raises(RasterError, match=f"no band {alpha} to spare as alpha; got {bands} band"):
        open_scene(path, ReadOptions(alpha=alpha))


def test_a_scene_file_names_files_of_one_band(tmp_path: Path, make_raster: MakeRaster) -> None:
    make_raster(tmp_path / "rgb.tif", np.ones((3, 96, 128), np.uint8))
    path = tmp_path / "scene.yaml"
    path.write_text("bands: {red: rgb.tif}\n")
    with pytest.raises(RasterError, match=r"rgb\.tif: a band of a scene is a file of one band"):
        open_scene(path)
