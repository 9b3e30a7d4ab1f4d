"""Files published beside a map, without QGIS: styles, and projects that move."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest
from affine import Affine
from published import SCHEME, make_map
from published_areas import project_of, publish_area, sources_of, stac_of

import geoseg
from geoseg.cli import _main
from geoseg.errors import InputError, RasterError, VectorError
from geoseg.job import read_record
from geoseg.style import load_scheme

NAMES = {
    "map.qgz", "report.html", "map.qlr", "item.json", "collection.json", "model.json",
    "classes.qml", "classes.sld", "confidence.qml", "confidence.sld", "landcover.qml",
    "landcover.sld",
}  # fmt: skip
ODD_CRS = "+proj=laea +lat_0=46 +lon_0=15 +x_0=500000 +y_0=5000000 +ellps=bessel +units=m"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published map; tests leave it as it is."""
    return publish_area(tmp_path_factory.mktemp("made") / "area")


class TestFiles:
    def test_everything_that_opens_the_map_lies_beside_it(self, made: Path) -> None:
        there = {path.name for path in (*made.iterdir(), *made.parent.iterdir())}
        assert there >= NAMES

    def test_the_map_itself_is_left_as_it_is(self, made: Path) -> None:
        record = read_record(made / "run.json")
        assert record is not None
        assert record.stands(made, record.key)

    def test_publishing_again_gives_the_same_bytes(self, made: Path, tmp_path: Path) -> None:
        moved = shutil.copytree(made.parent, tmp_path / "area") / "map"
        options = geoseg.PublishOptions(title="T", imagery=moved.parent / "scene.tif")
        first = {path: path.read_bytes() for path in geoseg.publish(moved, options=options)}
        assert {path: path.read_bytes() for path in geoseg.publish(moved, options=options)} == first

    def test_the_command_prints_the_project_first(
        self, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        moved = shutil.copytree(made.parent, tmp_path / "area") / "map"
        assert _main(["publish", str(moved / "classes.tif"), "--title", "T"]) == 0
        printed = [Path(line).name for line in capsys.readouterr().out.split()]
        assert printed[0] == "map.qgz"
        assert set(printed) == NAMES

    def test_a_map_without_its_attribute_table_gets_one(self, made: Path, tmp_path: Path) -> None:
        moved = shutil.copytree(made.parent, tmp_path / "area") / "map"
        before = (moved / "classes.tif.aux.xml").read_bytes()
        (moved / "classes.tif.aux.xml").unlink()
        geoseg.publish(moved)
        assert (moved / "classes.tif.aux.xml").read_bytes() == before


class TestStyles:
    @pytest.mark.parametrize("name", ["map/classes.qml", "landcover.qml", "landcover.gpkg"])
    def test_styles_read_back_as_the_classes(self, made: Path, name: str) -> None:
        found = load_scheme(made.parent / name)
        assert [(each.name, each.color) for each in found.classes] == [
            (each.name, each.color) for each in SCHEME.classes
        ]

    @pytest.mark.parametrize("name", ["map/classes.sld", "landcover.sld"])
    def test_slds_name_and_colour_the_classes(self, made: Path, name: str) -> None:
        root = ElementTree.fromstring((made.parent / name).read_bytes())
        text = "".join(root.itertext()) + str([node.attrib for node in root.iter()])
        for each in SCHEME.classes:
            assert each.name in text
            assert each.color in text

    def test_the_geopackage_carries_both_styles(self, made: Path) -> None:
        with closing(sqlite3.connect(made.parent / "landcover.gpkg")) as database:
            row = database.execute(
                "SELECT f_table_schema, f_table_name, f_geometry_column, useAsDefault, styleQML,"
                " styleSLD FROM layer_styles"
            ).fetchone()
        assert row[:4] == ("", "landcover", "geom", 1)
        assert row[4] == (made.parent / "landcover.qml").read_text(encoding="utf-8")
        assert row[5] == (made.parent / "landcover.sld").read_text(encoding="utf-8")


class TestProject:
    def test_paths_are_relative_and_lead_to_the_files(self, made: Path) -> None:
        for root in (
            project_of(made),
            ElementTree.fromstring((made / "map.qlr").read_bytes()),
        ):
            found = sources_of(root)
            assert found == [
                "../labels.gpkg", "../landcover.gpkg", "./classes.tif", "./confidence.tif",
                "../scene.tif",
            ]  # fmt: skip
            assert all((made / each).is_file() for each in found)

    def test_layers_stand_in_their_groups(self, made: Path) -> None:
        tree = project_of(made).find("layer-tree-group")
        assert tree is not None
        groups = {
            group.get("name"): [each.get("name") for each in group.findall("layer-tree-layer")]
            for group in tree.findall("layer-tree-group")
        }
        assert groups == {
            "Labels": ["Labels"],
            "Result": ["Polygons", "Classes"],
            "Confidence": ["Confidence"],
            "Imagery": ["scene"],
        }

    def test_the_page_has_all_a_map_needs(self, made: Path) -> None:
        items = {each.get("id"): each for each in project_of(made).iter("LayoutItem")}
        assert set(items) == {"", "map", "title", "legend", "north", "scale bar", "credits"}
        assert items["title"].get("labelText") == "Lakes & <woods>"
        text = str(items["credits"].get("labelText"))
        assert text.startswith("A. Mapper  |  threshold  |  geoseg ")
        assert text.endswith("WGS 84 / UTM zone 33N")

    def test_the_frame_has_the_shape_of_the_map(self, made: Path) -> None:
        frame = next(e for e in project_of(made).iter("LayoutItem") if e.get("id") == "map")
        width, height, _ = str(frame.get("size")).split(",")
        assert float(width) / float(height) == pytest.approx(128 / 96, rel=1e-4)

    def test_the_scale_bar_is_as_long_as_it_says(self, made: Path) -> None:
        """The frame shows 1.04 x 320 m; two segments of 50 m are 100 / 332.8 of it."""
        items = {each.get("id"): each for each in project_of(made).iter("LayoutItem")}
        bar, width = items["scale bar"], float(str(items["map"].get("size")).split(",")[0])
        assert (bar.get("numUnitsPerSegment"), bar.get("unitLabel")) == ("50", "m")
        length = float(str(bar.get("segmentMillimeters")))
        assert length == pytest.approx(width * 50 / 332.8, rel=2e-3)  # UTM's scale is 0.9996

    def test_a_title_is_no_expression(self, made: Path, tmp_path: Path) -> None:
        moved = shutil.copytree(made.parent, tmp_path / "area") / "map"
        geoseg.publish(moved, options=geoseg.PublishOptions(title="[% @qgis_version %]"))
        assert all(
            "[%" not in str(e.get("labelText")) for e in project_of(moved).iter("LayoutItem")
        )

    def test_a_map_of_many_classes_keeps_its_legend_on_the_page(
        self, made: Path, tmp_path: Path
    ) -> None:
        moved = shutil.copytree(made.parent, tmp_path / "area") / "map"
        rows = [f'- {{name: class {i}, color: "#{i:02x}40a0"}}' for i in range(40)]
        (moved / "classes.yaml").write_text("classes:\n" + "\n".join(rows))
        (moved / "run.json").unlink()
        geoseg.publish(moved)
        legend = next(e for e in project_of(moved).iter("LayoutItem") if e.get("id") == "legend")
        assert legend.get("columnCount") == "2"
        assert stac_of(moved, "collection.json")["links"][1:] == [
            {"rel": "item", "href": "./item.json", "type": "application/geo+json"}
        ]


class TestPlaces:
    def test_a_crs_without_a_code_stands_in_full(self, tmp_path: Path) -> None:
        land_map = make_map(tmp_path / "area", crs=ODD_CRS)
        geoseg.publish(land_map)
        properties = stac_of(land_map, "item.json")["properties"]
        assert properties["proj:code"] is None
        assert properties["proj:projjson"]["conversion"]["method"]["name"].startswith("Lambert")
        system = project_of(land_map).find("projectCrs/spatialrefsys")
        assert system is not None
        assert system.findtext("authid") == ""
        assert "Lambert Azimuthal Equal Area" in str(system.findtext("wkt"))

    def test_a_map_across_the_antimeridian_has_a_box_from_west_to_east(
        self, tmp_path: Path
    ) -> None:
        """EPSG:3832 is centred on 150 degrees east: 180 is 3 339 585 m east of that."""
        affine = Affine(10, 0, 3_339_585 - 640, 0, -10, 480)
        land_map = make_map(tmp_path / "area", crs="EPSG:3832", affine=affine)
        geoseg.publish(land_map)
        item = stac_of(land_map, "item.json")
        west, _, east, _ = item["bbox"]
        assert item["geometry"]["type"] == "MultiPolygon"
        assert (west, east) == pytest.approx((179.99425, -179.99425), abs=1e-4)


class TestRefusals:
    def test_a_folder_that_is_no_map(self, tmp_path: Path) -> None:
        with pytest.raises(RasterError, match=r"no classes.tif and no classes.yaml in it"):
            geoseg.publish(tmp_path)

    def test_polygons_that_are_not_of_a_map(self, made: Path) -> None:
        options = geoseg.PublishOptions(polygons=(made.parent / "labels.gpkg",))
        with pytest.raises(InputError, match="holds no polygons of a map"):
            geoseg.publish(made, options=options)

    def test_labels_that_are_not_there(self, made: Path) -> None:
        options = geoseg.PublishOptions(labels=made.parent / "nowhere.gpkg")
        with pytest.raises(VectorError, match="nowhere"):
            geoseg.publish(made, options=options)

    def test_imagery_that_cannot_be_read(self, made: Path) -> None:
        options = geoseg.PublishOptions(imagery=made.parent / "labels.gpkg")
        with pytest.raises(InputError, match="labels.gpkg"):
            geoseg.publish(made, options=options)

    def test_polygons_of_another_run_are_not_taken_for_the_maps(
        self, made: Path, tmp_path: Path
    ) -> None:
        moved = shutil.copytree(made.parent, tmp_path / "area") / "map"
        record = json.loads((moved / "run.json").read_text(encoding="utf-8"))
        record["key"] = "0" * 64
        (moved / "run.json").write_text(json.dumps(record), encoding="utf-8")
        names = [path.name for path in geoseg.publish(moved)]
        assert "landcover.qml" not in names
        assert sources_of(project_of(moved))[0] == "./classes.tif"
