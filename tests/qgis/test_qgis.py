"""What QGIS itself makes of a published map: run where Debian's QGIS is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zipfile import ZipFile

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from published import SCHEME, make_map
from pyproj import Transformer
from scipy import ndimage

import geoseg

PYTHON = Path("/usr/bin/python3")
LOOK = Path(__file__).with_name("look.py")
NAMED = [[i, each.name, f"#ff{each.color[1:]}"] for i, each in enumerate(SCHEME.classes)]
PAIR = Path(__file__).parents[3] / "shared" / "data" / "pairs" / "rcr_sentinel2"
ODD_CRS = "+proj=laea +lat_0=46 +lon_0=15 +x_0=500000 +y_0=5000000 +ellps=bessel +units=m"

SCALE = 4
"""Dots to the side of a pixel of the map where layers are drawn alone."""

CHECK = (
    "import json, sys; from osgeo_utils.samples.validate_gpkg import check;"
    "print(json.dumps(check(sys.argv[1], abort_at_first_error=False)))"
)
KNOWN = ("_update1 trigger missing", "_update3 trigger missing")
"""GDAL 3.6 does not know the triggers of GeoPackage 1.4."""

type Look = Callable[..., Any]


def environment(home: Path) -> dict[str, str]:
    """QGIS without a screen, with settings of its own, and without this Python's modules."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    own = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "QT_QPA_PLATFORM": "offscreen"}
    return kept | own


def has_qgis() -> bool:
    command, env = [str(PYTHON), "-c", "import qgis.core"], environment(Path.home())
    there = PYTHON.is_file()
    return (
        there and subprocess.run(command, capture_output=True, env=env, check=False).returncode == 0
    )


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_qgis(), reason="no PyQGIS here: make test-qgis installs it"),
]


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Look:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)

    def run(*arguments: object) -> Any:
        command = [str(PYTHON), str(LOOK), *map(str, arguments)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment(home),
            timeout=300,
            cwd=home,
            check=False,
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "area"
    return publish(make_map(folder), labels=folder / "labels.gpkg", credits="A. Mapper")


def publish(land_map: Path, **options: Any) -> Path:
    geoseg.publish(land_map, options=geoseg.PublishOptions(title="Lakes & <woods>", **options))
    return land_map


def drawn(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB"))


def named(classes: list[list[Any]]) -> list[list[Any]]:
    """QGIS keeps the value of a category as a text."""
    return [[int(value), name, colour] for value, name, colour in classes]


@pytest.fixture(scope="module")
def opened(look: Look, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The project of a folder that was moved after it was published."""
    moved = shutil.copytree(made.parent, tmp_path_factory.mktemp("moved") / "elsewhere")
    out = tmp_path_factory.mktemp("out")
    return {**look("project", moved / "map" / "map.qgz", out), "out": out, "folder": moved}


class TestProject:
    def test_it_opens_with_every_layer(self, opened: Any) -> None:
        assert opened["read"]
        assert (opened["title"], opened["crs"]) == ("Lakes & <woods>", "EPSG:32633")
        assert opened["ellipsoid"] == "EPSG:7030"
        assert opened["groups"] == ["Labels", "Result", "Confidence", "Imagery"]
        names = ["Labels", "Polygons", "Classes", "Confidence", "scene"]
        assert [each["name"] for each in opened["layers"]] == names
        assert all(each["valid"] for each in opened["layers"])
        assert {each["crs"] for each in opened["layers"]} == {"EPSG:32633"}
        assert opened["visible"] == ["Classes", "scene"]
        assert all(each["source"].startswith(str(opened["folder"])) for each in opened["layers"])

    def test_classes_carry_their_names_and_colours(self, opened: Any) -> None:
        by_name = {each["name"]: each for each in opened["layers"]}
        for name in ("Classes", "Polygons"):
            assert named(by_name[name]["classes"]) == NAMED
        assert by_name["Classes"]["legend"][1:] == list(SCHEME.names)
        assert by_name["Polygons"]["legend"] == list(SCHEME.names)
        assert [each[1:] for each in by_name["Labels"]["classes"]] == [each[1:] for each in NAMED]
        assert by_name["Labels"]["classes"][0][0] == ["wood", "3"]

    def test_it_shows_the_whole_map(self, opened: Any) -> None:
        assert opened["extent"] == [500_000, 4_999_760, 500_320, 5_000_000]

    def test_the_page_is_drawn_as_png_and_pdf(self, opened: Any) -> None:
        assert (opened["png"], opened["pdf"]) == (0, 0)
        assert (opened["out"] / "layout.pdf").read_bytes().startswith(b"%PDF")
        assert opened["layouts"]["Map"] == [
            "QgsLayoutItemLabel", "QgsLayoutItemLabel", "QgsLayoutItemLegend", "QgsLayoutItemMap",
            "QgsLayoutItemPage", "QgsLayoutItemPicture", "QgsLayoutItemScaleBar",
        ]  # fmt: skip

    def test_the_page_has_the_right_colours_at_the_right_places(self, opened: Any) -> None:
        page = drawn(opened["out"] / "layout.png")
        with rasterio.open(opened["folder"] / "map" / "classes.tif") as dataset:
            ids = dataset.read(1)
        at = place_of(opened["folder"] / "map", page.shape[:2])
        for row, col in ((5, 60), (40, 40), (40, 60), (50, 80), (90, 120), (5, 5)):
            red, green, blue = (
                (255, 255, 255) if ids[row, col] == 255 else SCHEME.classes[ids[row, col]].rgba[:3]
            )
            assert page[at(row, col)].tolist() == [red, green, blue], (row, col)

    def test_the_legend_shows_each_colour_and_the_title_its_ink(self, opened: Any) -> None:
        page = drawn(opened["out"] / "layout.png")
        at = place_of(opened["folder"] / "map", page.shape[:2])
        top, right = at(0, 128)
        legend, title = page[top:, right + 20 :], page[: top - 12]
        for each in SCHEME.classes:
            assert (legend == each.rgba[:3]).all(axis=2).sum() > 100
        assert 0.002 < (title < 128).all(axis=2).mean() < 0.1
        assert (page[-at(0, 0)[0] :] < 128).any(), "scale bar and credits"


def place_of(land_map: Path, shape: tuple[int, ...]) -> Callable[[float, float], tuple[int, int]]:
    """Where the centre of a pixel of the map stands on the page."""
    with ZipFile(land_map / "map.qgz") as archive:
        root = ElementTree.fromstring(archive.read("map.qgs"))
    items = {each.get("id"): each for each in root.iter("LayoutItem")}
    x, y, width, height = (
        float(number)
        for name in ("position", "size")
        for number in str(items["map"].get(name)).split(",")[:2]
    )
    page_width = float(str(items[""].get("size")).split(",")[0])
    extent = items["map"].find("Extent")
    assert extent is not None
    west, south, east, north = (float(str(extent.get(k))) for k in ("xmin", "ymin", "xmax", "ymax"))
    per_mm = shape[1] / page_width
    with rasterio.open(land_map / "classes.tif") as dataset:
        affine: Affine = dataset.transform
        to_page = Transformer.from_crs(
            dataset.crs.to_wkt(), items["map"].findtext("crs/spatialrefsys/wkt"), always_xy=True
        )

    def at(row: float, col: float) -> tuple[int, int]:
        east_of, north_of = to_page.transform(*(affine @ (col + 0.5, row + 0.5)))
        across = x + width * (east_of - west) / (east - west)
        down = y + height * (north - north_of) / (north - south)
        return int(down * per_mm), int(across * per_mm)

    return at


def drawn_ids(look: Look, land_map: Path, name: str, out: Path) -> NDArray[np.int64]:
    """Class ids as drawn, 4 x 4 to a pixel; -1 for the background, -2 for other colours."""
    path = out / f"{name}.png"
    said = look("draw", land_map / "map.qgz", path, name, SCALE)
    assert said == {"errors": 0, "saved": True}
    picture, found = drawn(path), np.full((96 * SCALE, 128 * SCALE), -2)
    found[(picture == (255, 0, 255)).all(axis=2)] = -1
    for i, each in enumerate(SCHEME.classes):
        found[(picture == each.rgba[:3]).all(axis=2)] = i
    return found


@pytest.fixture(scope="module")
def truth(made: Path) -> NDArray[np.int64]:
    with rasterio.open(made / "classes.tif") as dataset:
        ids = np.where(dataset.read(1) == 255, -1, dataset.read(1).astype(int))
    return ids.repeat(SCALE, 0).repeat(SCALE, 1)


class TestPixels:
    def test_the_raster_is_drawn_pixel_by_pixel(
        self, look: Look, made: Path, truth: NDArray[np.int64], tmp_path: Path
    ) -> None:
        assert (drawn_ids(look, made, "Classes", tmp_path) == truth).all()

    def test_polygons_lie_on_the_raster_to_a_quarter_of_a_pixel(
        self, look: Look, made: Path, truth: NDArray[np.int64], tmp_path: Path
    ) -> None:
        """All but the outlines, which are one dot wide, on the borders."""
        found = drawn_ids(look, made, "Polygons", tmp_path)
        border = ndimage.maximum_filter(truth, 3) != ndimage.minimum_filter(truth, 3)
        frame = np.ones_like(border)
        frame[2:-2, 2:-2] = False
        assert (found == truth)[~border & ~frame].all()
        shifted = np.roll(found, 2, axis=1)
        assert not (shifted == truth)[~border & ~frame].all(), "half a pixel would be seen"


def test_a_geopackage_passes_the_check_of_gdal(made: Path, tmp_path: Path) -> None:
    """Tables, columns, geometries, index and CRS, with the styles in it."""
    command = [PYTHON, "-c", CHECK, made.parent / "landcover.gpkg"]
    env = environment(tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    found = [message for _, message in json.loads(done.stdout.splitlines()[-1])]
    assert [each for each in found if not any(known in each for known in KNOWN)] == []


class TestDragging:
    """Files as somebody drags them into QGIS: no style is loaded by hand."""

    @pytest.mark.parametrize("name", ["map/classes.tif", "landcover.gpkg", "landcover.geojson"])
    def test_a_file_comes_named_and_coloured(self, look: Look, made: Path, name: str) -> None:
        opened = look("layer", made.parent / name)
        assert opened["valid"]
        assert named(opened["classes"]) == NAMED
        assert opened["legend"][-2:] == list(SCHEME.names)

    def test_a_geopackage_comes_styled_without_the_files_beside_it(
        self, look: Look, made: Path, tmp_path: Path
    ) -> None:
        shutil.copy(made.parent / "landcover.gpkg", tmp_path)
        assert named(look("layer", tmp_path / "landcover.gpkg")["classes"]) == NAMED

    def test_a_raster_comes_named_without_its_style(
        self, look: Look, made: Path, tmp_path: Path
    ) -> None:
        """Before QGIS 3.30 the colour table counts, of which the first are the classes."""
        for name in ("classes.tif", "classes.tif.aux.xml"):
            shutil.copy(made / name, tmp_path)
        assert look("layer", tmp_path / "classes.tif")["classes"][:2] == NAMED

    def test_confidence_comes_in_colours(self, look: Look, made: Path) -> None:
        opened = look("layer", made / "confidence.tif")
        assert (opened["valid"], opened["renderer"]) == (True, "singlebandpseudocolor")

    def test_a_layer_definition_brings_all_layers(self, look: Look, made: Path) -> None:
        opened = look("definition", made / "map.qlr")
        assert (opened["loaded"], opened["message"]) == (True, "")
        assert [each["valid"] for each in opened["layers"]] == [True] * 5
        assert opened["groups"] == ["Lakes & <woods>", "Labels", "Result", "Confidence", "Imagery"]

    def test_the_sld_of_polygons_is_read_by_qgis_too(
        self, look: Look, made: Path, tmp_path: Path
    ) -> None:
        for name in ("landcover.geojson", "landcover.sld"):
            shutil.copy(made.parent / name, tmp_path)
        legend = look("layer", tmp_path / "landcover.geojson", tmp_path / "landcover.sld")["legend"]
        assert legend == list(SCHEME.names)


@pytest.mark.parametrize(
    ("crs", "affine"),
    [
        (ODD_CRS, Affine(2.5, 0, 500_000, 0, -2.5, 5_000_000)),
        ("EPSG:4326", Affine(2.5e-5, 0, 15, 0, -2.5e-5, 45)),
        ("EPSG:2193", Affine(2.5, 0, 1_750_000, 0, -2.5, 5_430_000)),
    ],
    ids=["no code", "degrees", "New Zealand"],
)
def test_a_map_in_any_crs_lies_where_it_should(
    look: Look, tmp_path: Path, crs: str, affine: Affine
) -> None:
    land_map = publish(make_map(tmp_path / "area", crs=crs, affine=affine))
    opened = look("project", land_map / "map.qgz", tmp_path)
    assert all(each["valid"] for each in opened["layers"])
    if crs.startswith("EPSG"):
        assert opened["crs"] == crs
    else:
        assert "Lambert_Azimuthal_Equal_Area" in opened["crs"]
    page = drawn(tmp_path / "layout.png")
    at = place_of(land_map, page.shape[:2])
    assert page[at(40, 40)].tolist() == list(SCHEME.classes[1].rgba[:3])
    assert page[at(40, 60)].tolist() == list(SCHEME.classes[0].rgba[:3])


@pytest.mark.skipif(not PAIR.is_dir(), reason="the real pairs are not here")
def test_a_map_of_a_real_pair_opens_with_its_labels(
    look: Look, tmp_path: Path, brief_training: None
) -> None:
    """Sentinel-2 in degrees, and label polygons with numbers for codes."""
    config = Path(__file__).parents[1] / "configs" / "rcr.yaml"
    geoseg.run(config, settings=[f"out={tmp_path.as_posix()}"])
    opened = look("project", tmp_path / "map" / "map.qgz", tmp_path)
    assert (opened["png"], opened["pdf"], opened["crs"]) == (0, 0, "EPSG:4326")
    by_name = {each["name"]: each for each in opened["layers"]}
    assert set(by_name) == {"Labels", "Polygons", "Classes", "Confidence", "imagery"}
    assert all(each["valid"] for each in opened["layers"])
    names = [each[1] for each in by_name["Classes"]["classes"]]
    assert names[0] == "Subtidal Haline"
    assert names == [each[1] for each in by_name["Labels"]["classes"]]
    said = look("draw", tmp_path / "map" / "map.qgz", tmp_path / "labels.png", "Labels", 1)
    assert said == {"errors": 0, "saved": True}
    seen = {
        tuple(colour) for colour in np.unique(drawn(tmp_path / "labels.png").reshape(-1, 3), axis=0)
    }
    assert len(seen) == 1 + 6, "the background and the outlines of six classes"
