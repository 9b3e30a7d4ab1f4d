"""Which files are opened, decided by their first bytes (table R of the notes on bad input)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from small_scene import MakeRaster, SmallScene

from geoseg import grid
from geoseg.errors import GeosegError, RasterError, UnsafeError
from geoseg.raster import FileSource
from geoseg.raster.drivers import driver_of

DEAD = "/vsicurl/http://127.0.0.1:9/x.tif"
"""Nothing listens there: a file that is opened after all fails, and never with UnsafeError."""


def source_of(name: object, relative: int = 0) -> str:
    return (
        '<VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="{relative}">{name}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
    )


@pytest.fixture
def vrt(tmp_path: Path) -> Callable[..., Path]:
    """A function (content, name, root) that writes a VRT on the grid of the small scene."""

    def write(content: str, name: str = "a.tif", root: str = "") -> Path:
        path = tmp_path / name
        path.write_text(
            f'<VRTDataset rasterXSize="128" rasterYSize="96"{root}><SRS>EPSG:32633</SRS>'
            f"<GeoTransform>500000,0.5,0,5000000,0,-0.5</GeoTransform>{content}</VRTDataset>",
            encoding="utf-8",
        )
        return path

    return write


class TestFormats:
    @pytest.mark.parametrize(
        ("driver", "name"),
        [("GTiff", "a.jpg"), ("PNG", "a.tif"), ("JPEG", "a"), ("GTiff", "a.vrt")],
    )
    def test_the_bytes_decide_and_not_the_name(
        self, tmp_path: Path, make_raster: MakeRaster, driver: str, name: str
    ) -> None:
        pixels = np.full((3, 8, 16), 9, np.uint8)
        path = make_raster(tmp_path / name, pixels, driver=driver)
        assert driver_of(path) == driver

    def test_big_tiff_is_a_geotiff(self, tmp_path: Path, make_raster: MakeRaster) -> None:
        path = make_raster(tmp_path / "a.tif", np.ones((1, 8, 16), np.uint8), BIGTIFF="YES")
        assert driver_of(path) == "GTiff"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty (0 bytes)"),
            (b"<html>403 Forbidden</html>", "got HTML or XML"),
            (b"\n\n<!DOCTYPE html><p>404", "got HTML or XML"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
            (b"ENVI\nsamples = 5", "a file that starts with b'ENVI"),
            (b"<GDAL_WMS><Service name='TMS'/></GDAL_WMS>", "got HTML or XML"),
            (b'{"type": "FeatureCollection"}', "is not a raster geoseg reads"),
        ],
    )
    def test_what_is_no_raster_is_named_with_what_it_is(
        self, tmp_path: Path, content: bytes, message: str
    ) -> None:
        path = tmp_path / "a.tif"
        path.write_bytes(content)
        with pytest.raises(RasterError) as caught:
            _ = FileSource(path).geobox
        assert str(caught.value).startswith(f"{path}: ")
        assert message in str(caught.value)

    def test_a_file_cut_in_its_header_is_named(self, tmp_path: Path, scene: SmallScene) -> None:
        path = tmp_path / "cut.tif"
        path.write_bytes(scene.path.read_bytes()[:100])
        with pytest.raises(RasterError, match=r"cut\.tif: cannot be opened"):
            _ = FileSource(path).geobox

    def test_a_file_cut_in_its_pixels_names_file_and_window(
        self, tmp_path: Path, scene: SmallScene
    ) -> None:
        path = tmp_path / "cut.tif"
        data = scene.path.read_bytes()
        path.write_bytes(data[: len(data) * 6 // 10])
        with pytest.raises(RasterError, match=r"cut\.tif: rows 0-96, columns 0-128 cannot be dec"):
            FileSource(path).read(grid.whole((96, 128)))

    def test_a_missing_file_and_a_folder_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(RasterError, match=r"no\.tif: cannot be opened; got .*No such file"):
            _ = FileSource(tmp_path / "no.tif").geobox
        with pytest.raises(RasterError, match="cannot be read; got Is a directory"):
            driver_of(tmp_path)

    @pytest.mark.parametrize(
        "name",
        [
            "https://example.com/a.tif",
            "s3://bucket/a.tif",
            "/vsicurl/http://x/a.tif",
            "<VRTDataset>",
        ],
    )
    def test_only_local_files_are_read(self, name: str) -> None:
        with pytest.raises(UnsafeError, match="only local files are read"):
            _ = FileSource(Path(name)).geobox

    @pytest.mark.parametrize("name", ["gs:a.tif", "zip:a.tif", "zip!a.tif", "ü !\n[1]?.tif"])
    def test_odd_names_are_names(
        self, tmp_path: Path, scene: SmallScene, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        shutil.copy(scene.path, tmp_path / name)
        monkeypatch.chdir(tmp_path)
        source = FileSource(Path(name))
        assert source.paths == (Path(name),)
        np.testing.assert_array_equal(source.read(grid.whole((96, 128))).pixels, scene.pixels)


class TestSafeVrt:
    def test_a_vrt_of_bands_reads_as_its_sources(
        self, vrt: Callable[..., Path], scene: SmallScene
    ) -> None:
        content = "".join(
            source_of(scene.path)
            .replace('band="1"', f'band="{i}"')
            .replace("<SourceBand>1", f"<SourceBand>{i}")
            for i in (1, 2, 3)
        )
        source = FileSource(vrt(content))
        assert driver_of(source.path) == "VRT"
        np.testing.assert_array_equal(source.read(grid.whole((96, 128))).pixels, scene.pixels)
        assert source.paths == (source.path, scene.path)

    def test_names_relative_to_the_vrt_are_looked_up_beside_it(
        self, tmp_path: Path, vrt: Callable[..., Path], scene: SmallScene
    ) -> None:
        shutil.copy(scene.path, tmp_path / "b.tif")
        assert driver_of(vrt(source_of("b.tif", relative=1))) == "VRT"
        with pytest.raises(RasterError, match=r"b\.tif: cannot be read"):
            driver_of(vrt(source_of("b.tif", relative=0)))

    def test_a_vrt_of_a_vrt_is_followed_four_deep(
        self, vrt: Callable[..., Path], scene: SmallScene
    ) -> None:
        path = scene.path
        for depth in range(5):
            path = vrt(source_of(path), name=f"{depth}.vrt")
        assert driver_of(path) == "VRT"
        with pytest.raises(UnsafeError, match="nested too deep"):
            driver_of(vrt(source_of(path), name="5.vrt"))

    def test_a_vrt_that_names_itself_ends(self, vrt: Callable[..., Path]) -> None:
        with pytest.raises(UnsafeError, match="nested too deep"):
            driver_of(vrt(source_of("a.tif", relative=1)))

    def test_a_vrt_that_gdal_wrote_is_read(self, tmp_path: Path, scene: SmallScene) -> None:
        rasterio.shutil.copy(scene.path, tmp_path / "a.vrt", driver="VRT")
        block = FileSource(tmp_path / "a.vrt").read(grid.whole((96, 128)))
        np.testing.assert_array_equal(block.pixels, scene.pixels)
        np.testing.assert_array_equal(block.valid, scene.valid)


PYTHON = (
    '<VRTRasterBand dataType="Byte" band="1" subClass="VRTDerivedRasterBand">'
    "<PixelFunctionLanguage>Python</PixelFunctionLanguage>"
    "<PixelFunctionType>os.getcwd</PixelFunctionType></VRTRasterBand>"
)
RAW = (
    '<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">'
    '<SourceFilename relativeToVRT="0">/etc/passwd</SourceFilename></VRTRasterBand>'
)
OVERVIEW = (
    '<VRTRasterBand dataType="Byte" band="1"><Overview>'
    f"<SourceFilename>{DEAD}</SourceFilename></Overview></VRTRasterBand>"
)
UNSAFE_VRT = {
    "a Python pixel function": PYTHON,
    "a raw band": RAW,
    "a raw band in lower case": RAW.replace("subClass", "subclass").replace(
        "VRTRaster", "vrtraster"
    ),
    "a remote source": source_of(DEAD),
    "a remote source in lower case": source_of(DEAD).lower(),
    "a remote source after blanks": source_of("\n  " + DEAD),
    "a URL": source_of("https://example.com/a.tif"),
    "a GDAL prefix": source_of("NETCDF:a.nc"),
    "a description in place of a name": source_of("&lt;GDAL_WMS&gt;"),
    "a remote mask": f"<MaskBand>{source_of(DEAD)}</MaskBand>",
    "a remote overview": OVERVIEW,
    "a warp": "<GDALWarpOptions/>",
    "CDATA": source_of(f"<![CDATA[{DEAD}]]>"),
    "an instruction": "<?x <SourceFilename> ?>",
}


class TestUnsafeVrt:
    @pytest.mark.parametrize("content", UNSAFE_VRT.values(), ids=UNSAFE_VRT)
    def test_it_is_refused_before_gdal_sees_it(
        self, vrt: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, content: str
    ) -> None:
        monkeypatch.setattr(rasterio, "open", None)
        with pytest.raises(UnsafeError) as caught:
            _ = FileSource(vrt(content)).geobox
        assert "a.tif: the VRT" in str(caught.value)

    @pytest.mark.parametrize(
        "root", [' subClass="VRTWarpedDataset"', ' SUBCLASS="VRTPansharpened"']
    )
    def test_warped_and_sharpened_vrts_are_refused(
        self, vrt: Callable[..., Path], root: str
    ) -> None:
        with pytest.raises(UnsafeError, match="does more than arrange rasters; got VRT"):
            driver_of(vrt("", root=root))

    def test_a_namespace_hides_nothing(self, vrt: Callable[..., Path]) -> None:
        with pytest.raises(UnsafeError, match="not a local file"):
            driver_of(vrt(source_of(DEAD), root=' xmlns="x"'))

    def test_a_remote_source_one_vrt_down_is_found(self, vrt: Callable[..., Path]) -> None:
        inner = vrt(source_of(DEAD), name="inner.vrt")
        with pytest.raises(
            UnsafeError, match=r"inner\.vrt: the VRT names a source that is not a local"
        ):
            driver_of(vrt(source_of(inner)))

    def test_entities_are_not_expanded(self, tmp_path: Path) -> None:
        path = tmp_path / "a.vrt"
        path.write_text('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><VRTDataset/>')
        with pytest.raises(UnsafeError, match="XML declarations"):
            driver_of(path)

    @pytest.mark.parametrize("magic", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\xff\x4f\xff\x51"])
    def test_an_image_that_is_a_vrt_too_is_refused(
        self, vrt: Callable[..., Path], magic: bytes
    ) -> None:
        """As a VRT's source, GDAL takes it for a VRT and sends requests."""
        inner = vrt(source_of(DEAD), name="inner.jpg")
        inner.write_bytes(magic + inner.read_bytes())
        with pytest.raises(UnsafeError, match=r"inner\.jpg"):
            driver_of(vrt(source_of(inner)))

    def test_broken_xml_and_a_source_that_is_no_raster_are_named(
        self, tmp_path: Path, vrt: Callable[..., Path]
    ) -> None:
        (tmp_path / "broken.vrt").write_text("<VRTDataset><a></VRTDataset>")
        with pytest.raises(RasterError, match=r"broken\.vrt: is not well-formed XML"):
            driver_of(tmp_path / "broken.vrt")
        with pytest.raises(RasterError, match="/etc/passwd: is not a raster"):
            driver_of(vrt(source_of("/etc/passwd")))


class TestSidecars:
    @pytest.mark.parametrize("suffix", [".ovr", ".msk"])
    def test_one_that_is_a_remote_vrt_is_refused(
        self, tmp_path: Path, scene: SmallScene, vrt: Callable[..., Path], suffix: str
    ) -> None:
        shutil.copy(scene.path, tmp_path / "b.tif")
        vrt(source_of(DEAD), name=f"b.tif{suffix}")
        with pytest.raises(GeosegError, match=f"b.tif{suffix}: the VRT names a source"):
            _ = FileSource(tmp_path / "b.tif").geobox

    def test_overviews_and_masks_in_geotiffs_are_fine(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        path = make_raster(tmp_path / "b.tif", np.ones((1, 96, 128), np.uint8))
        with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2])
        assert (tmp_path / "b.tif.ovr").exists()
        assert FileSource(path).read(grid.whole((96, 128))).valid.all()

    @pytest.mark.parametrize("inside", [True, False])
    def test_overviews_named_elsewhere_are_refused(
        self, tmp_path: Path, make_raster: MakeRaster, inside: bool
    ) -> None:
        path = make_raster(tmp_path / "b.tif", np.ones((1, 96, 128), np.uint8))
        if inside:
            with rasterio.open(path, "r+") as dataset:
                dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=DEAD)
        else:
            (tmp_path / "b.tif.aux.xml").write_text(
                '<PAMDataset><Metadata domain="OVERVIEWS">'
                f'<MDI key="OVERVIEW_FILE">{DEAD}</MDI></Metadata></PAMDataset>'
            )
        with pytest.raises(UnsafeError, match=r"b\.tif: names overviews in another file"):
            _ = FileSource(path).geobox
