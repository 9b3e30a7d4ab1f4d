"""Class schemes to QGIS styles and attribute tables, and back."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from affine import Affine
from small_scene import MakeRaster

from geoseg.classes import ClassScheme
from geoseg.errors import ClassError
from geoseg.style import load_scheme, polygons_qml, raster_pam

SCHEME = ClassScheme.model_validate(
    {
        "classes": [
            {"name": "back & ground", "color": "#00000000"},
            {"name": 'water "deep" <1>', "color": "#2b83ba", "values": ["lake"]},
            {"name": "Wälder", "color": "#1a964180"},
        ]
    }
)
QGIS_QML = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.40.1-Bratislava"><renderer-v2 type="categorizedSymbol" attr="&quot;KIND&quot;">
<categories>
 <category value="forest" label="Forest" symbol="0" type="string" render="true"/>
 <category value="12" label="Lake" symbol="1" type="long" render="true"/>
 <category value="" label="all other" symbol="2" type="NULL" render="true"/>
</categories><symbols>
 <symbol name="0" type="fill" alpha="0.5"><layer class="SimpleFill"><Option type="Map">
  <Option name="color" type="QString" value="0,128,0,255,rgb:0,0.5,0,1"/></Option></layer></symbol>
 <symbol name="1" type="fill" alpha="1"><layer class="SimpleFill">
  <prop k="color" v="0,0,255,255"/></layer></symbol>
</symbols></renderer-v2></qgis>"""
PALETTE = """<qgis><pipe><rasterrenderer type="paletted" band="1"><colorPalette>
 <paletteEntry value="10" color="#006400" alpha="255" label="Tree cover"/>
 <paletteEntry value="80" color="#0064c8" alpha="0" label=""/>
</colorPalette></rasterrenderer></pipe></qgis>"""


def facts(scheme: ClassScheme) -> list[tuple[str, str, tuple[Any, ...]]]:
    return [(each.name, each.color, each.values) for each in scheme.classes]


def write_tif(path: Path, colours: dict[int, tuple[int, ...]] | None = None) -> Path:
    profile = {
        "driver": "GTiff",
        "height": 3,
        "width": 4,
        "count": 1,
        "dtype": "uint8",
        "nodata": 255,
    }
    with rasterio.open(
        path, "w", transform=Affine(1, 0, 5, 0, -1, 5), crs=32633, **profile
    ) as dataset:
        dataset.write(np.zeros((1, 3, 4), np.uint8))
        if colours:
            dataset.write_colormap(1, colours)
    return path


def test_a_qml_read_back_has_the_same_names_colours_and_ids(tmp_path: Path) -> None:
    path = tmp_path / "landcover.qml"
    path.write_text(polygons_qml(SCHEME), encoding="utf-8")
    got = load_scheme(path)
    assert facts(got) == [(c.name, c.color, (i,)) for i, c in enumerate(SCHEME.classes)]
    assert got.column == "class_id"


def test_every_category_has_its_symbol() -> None:
    root = ElementTree.fromstring(polygons_qml(SCHEME))
    symbols = {each.get("name") for each in root.iter("symbol")}
    assert {each.get("symbol") for each in root.iter("category")} == symbols == {"0", "1", "2"}


def test_an_attribute_table_read_back_has_the_same_names_and_values(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "classes.tif")
    aux = path.with_name("classes.tif.aux.xml")
    aux.write_text(raster_pam(SCHEME, {0: 7, 2: 5}), encoding="utf-8")
    got = load_scheme(path)
    assert [each.name for each in got.classes] == list(SCHEME.names)
    assert [each.values for each in got.classes] == [(0,), (1,), (2,)]
    assert [each.color for each in got.classes] == ["#000000", "#2b83ba", "#1a9641"]


def test_the_attribute_table_has_the_usages_that_qgis_looks_for() -> None:
    table = ElementTree.fromstring(raster_pam(SCHEME, {0: 7, 2: 5})).find(
        "PAMRasterBand/GDALRasterAttributeTable"
    )
    assert table is not None and table.get("tableType") == "thematic"
    fields = [(f.findtext("Name"), f.findtext("Usage")) for f in table.findall("FieldDefn")]
    assert fields == [
        ("Value", "5"), ("Count", "1"), ("Name", "2"), ("Red", "6"), ("Green", "7"), ("Blue", "8"),
    ]  # fmt: skip
    rows = [[cell.text for cell in row] for row in table.findall("Row")]
    assert rows[1] == ["1", "0", 'water "deep" <1>', "43", "131", "186"]
    assert "Count" not in raster_pam(SCHEME)


def test_gdal_reads_the_category_names(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "classes.tif")
    path.with_name("classes.tif.aux.xml").write_text(raster_pam(SCHEME), encoding="utf-8")
    with rasterio.open(path) as dataset:
        assert dataset.read(1).shape == (3, 4)
        assert path.with_name("classes.tif.aux.xml").name in str(dataset.files)


def test_a_style_that_qgis_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.qml"
    path.write_text(QGIS_QML, encoding="utf-8")
    got = load_scheme(path)
    assert facts(got) == [("Forest", "#00800080", ("forest",)), ("Lake", "#0000ff", (12,))]
    assert got.column == "KIND"


def test_a_paletted_raster_style_is_read(tmp_path: Path) -> None:
    path = tmp_path / "worldcover.qml"
    path.write_text(PALETTE, encoding="utf-8")
    assert facts(load_scheme(path)) == [
        ("Tree cover", "#006400", (10,)),
        ("80", "#0064c800", (80,)),
    ]


def test_the_default_style_of_a_geopackage_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.gpkg"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE layer_styles (styleQML TEXT, useAsDefault BOOLEAN)")
    database.execute("INSERT INTO layer_styles VALUES (?, 0), (?, 1)", (PALETTE, QGIS_QML))
    database.commit()
    database.close()
    assert load_scheme(path).names == ("Forest", "Lake")


def test_a_colour_table_alone_gives_numbered_classes(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "map.tif", {1: (0, 100, 0, 255), 3: (0, 0, 255, 255)})
    assert facts(load_scheme(path)) == [("class 1", "#006400", (1,)), ("class 3", "#0000ff", (3,))]


def test_category_names_take_their_colours_from_the_colour_table(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "map.tif", {1: (0, 100, 0, 255)})
    names = "<Category></Category><Category>wood</Category><Category>lake</Category>"
    path.with_name("map.tif.aux.xml").write_text(
        f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{names}</CategoryNames>'
        "</PAMRasterBand></PAMDataset>",
        encoding="utf-8",
    )
    got = load_scheme(path)
    assert [(each.name, each.values) for each in got.classes] == [("wood", (1,)), ("lake", (2,))]
    assert got.classes[0].color == "#006400"


def test_a_yaml_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text('classes: [{name: water, color: "#2b83ba"}]', encoding="utf-8")
    assert load_scheme(path).names == ("water",)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("bomb.qml", '<!DOCTYPE x [<!ENTITY a "b">]><qgis>&a;</qgis>', "declares XML entities"),
        ("cut.qml", "<qgis><renderer-v2", "not well-formed"),
        ("single.qml", '<qgis><renderer-v2 type="singleSymbol"/></qgis>', "has no classes"),
        ("no.gpkg", "no database", "no style with classes"),
        ("no.tif", "no raster", "cannot be read as a GeoTIFF"),
        ("vrt.tif", '<VRTDataset rasterXSize="1" rasterYSize="1"/>', "cannot be read as a GeoTIFF"),
        ("classes.txt", "water", "is not a class file"),
    ],
)
def test_files_without_classes_are_named(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ClassError, match=message) as caught:
        load_scheme(path)
    assert str(path) in str(caught.value)


def test_a_grey_raster_and_a_missing_file_have_no_classes(tmp_path: Path) -> None:
    with pytest.raises(ClassError, match="names no classes"):
        load_scheme(write_tif(tmp_path / "grey.tif"))
    with pytest.raises(ClassError, match="no such class file"):
        load_scheme(tmp_path / "nowhere.qml")


class TestStyles:
    def test_a_style_is_read_up_to_16_mib(self, tmp_path: Path) -> None:
        path = tmp_path / "large.qml"
        with path.open("wb") as stream:
            stream.truncate((16 << 20) + 1)
        with pytest.raises(ClassError, match="too large for a style; wanted 16 MiB"):
            load_scheme(path)

    def test_a_style_is_utf_8(self, tmp_path: Path) -> None:
        (tmp_path / "latin.qml").write_bytes("<qgis>ä".encode("latin-1"))
        with pytest.raises(ClassError, match="is not UTF-8 at byte 6"):
            load_scheme(tmp_path / "latin.qml")

    @pytest.mark.parametrize(
        "entry",
        [
            '<paletteEntry value="1" color="red"/>',
            '<paletteEntry value="1" alpha="x"/>',
        ],
    )
    def test_a_palette_with_a_colour_that_is_none_is_refused(
        self, tmp_path: Path, entry: str
    ) -> None:
        style = f'<qgis><rasterrenderer type="paletted">{entry}</rasterrenderer></qgis>'
        (tmp_path / "classes.qml").write_text(style)
        with pytest.raises(ClassError, match="a colour of the style is broken"):
            load_scheme(tmp_path / "classes.qml")

    def test_a_table_with_a_colour_that_is_no_number_is_broken(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        raster = make_raster(tmp_path / "classes.tif", np.zeros((9, 9), np.uint8))
        fields = "".join(f"<FieldDefn><Usage>{usage}</Usage></FieldDefn>" for usage in (5, 2, 6))
        Path(f"{raster}.aux.xml").write_text(
            '<PAMDataset><PAMRasterBand band="1"><GDALRasterAttributeTable>'
            f"{fields}<Row><F>0</F><F>land</F><F>red</F></Row>"
            "</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>"
        )
        with pytest.raises(ClassError, match="attribute table is broken.*red"):
            load_scheme(raster)
