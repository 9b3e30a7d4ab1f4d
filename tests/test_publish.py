"""What is written beside a map, without QGIS: projects that move, styles, STAC."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from published import SCHEME, make_map
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.mlm import MLMExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension
from pystac.validation.stac_validator import JsonSchemaSTACValidator

import geoseg
from geoseg import files
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
    land_map = make_map(tmp_path_factory.mktemp("made") / "area")
    options = geoseg.PublishOptions(
        title="Lakes & <woods>",
        labels=land_map.parent / "labels.gpkg",
        credits="A. Mapper",
        date="2024-05-31",
    )
    geoseg.publish(land_map, options=options)
    return land_map


def project_of(land_map: Path) -> ElementTree.Element:
    with zipfile.ZipFile(land_map / "map.qgz") as archive:
        assert archive.testzip() is None
        return ElementTree.fromstring(archive.read("map.qgs"))


def sources_of(root: ElementTree.Element) -> list[str]:
    return [node.text.split("|")[0] for node in root.iter("datasource") if node.text]


def stac_of(land_map: Path, name: str) -> Any:
    return json.loads((land_map / name).read_text(encoding="utf-8"))


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


class TestStac:
    @pytest.mark.parametrize("name", ["item.json", "model.json", "collection.json"])
    def test_the_core_is_valid_by_the_schemas_of_pystac(self, made: Path, name: str) -> None:
        content = stac_of(made, name)
        kind = "Collection" if name == "collection.json" else "Feature"
        uris = JsonSchemaSTACValidator().validate_core(
            content, pystac.STACObjectType(kind), content["stac_version"]
        )
        assert uris

    def test_links_and_assets_lead_to_files(self, made: Path) -> None:
        for name in ("item.json", "model.json", "collection.json"):
            content = stac_of(made, name)
            named = [*content["links"], *content.get("assets", {}).values()]
            assert named
            assert all((made / each["href"]).is_file() for each in named)

    def test_a_map_called_map_is_headed_by_the_folder_above(
        self, made: Path, tmp_path: Path
    ) -> None:
        for name in ("map", "flood"):
            moved = shutil.copytree(made, tmp_path / "river" / name)
            geoseg.publish(moved)
            title = stac_of(moved, "item.json")["properties"]["title"]
            assert title == {"map": "river", "flood": "flood"}[name]

    def test_odd_names_of_files_are_escaped_in_addresses(self, tmp_path: Path) -> None:
        land_map = make_map(tmp_path / "area")
        odd = (land_map.parent / "landcover.gpkg").rename(tmp_path / "50 % of #1.gpkg")
        geoseg.publish(land_map, options=geoseg.PublishOptions(polygons=(odd,)))
        (asset,) = [
            each for key, each in stac_of(land_map, "item.json")["assets"].items() if "gpkg" in key
        ]
        page = (land_map / "report.html").read_text(encoding="utf-8")
        assert (land_map / unquote(asset["href"])).samefile(odd)
        assert asset["href"].endswith("/50%20%25%20of%20%231.gpkg")
        assert asset["file:size"] == odd.stat().st_size
        assert f'<a href="{asset["href"]}">50 % of #1.gpkg</a>' in page

    def test_the_collection_holds_the_map_and_its_model(self, made: Path) -> None:
        collection = pystac.Collection.from_file(str(made / "collection.json"))
        titles = [item.properties["title"] for item in collection.get_items()]
        assert titles == ["Lakes & <woods>", "Model of Lakes & <woods>"]
        assert collection.providers is not None
        assert collection.providers[0].name == "A. Mapper"

    def test_the_grid_is_that_of_the_raster(self, made: Path) -> None:
        found = ProjectionExtension.ext(pystac.Item.from_file(str(made / "item.json")))
        with rasterio.open(made / "classes.tif") as dataset:
            assert found.code == "EPSG:32633"
            assert found.shape == list(dataset.shape)
            assert found.transform == list(dataset.transform)[:6]
            assert found.bbox == list(dataset.bounds)

    def test_classes_bands_and_checksums_are_those_of_the_files(self, made: Path) -> None:
        asset = pystac.Item.from_file(str(made / "item.json")).assets["classes"]
        classes = ClassificationExtension.ext(asset).classes
        assert [(each.value, each.title, each.color_hint) for each in classes] == [
            (0, "Wälder & fields", "7FA650"),
            (1, 'water "deep" <1>', "2B83BA"),
            (255, None, None),
        ]
        assert [each.name for each in classes] == ["W_lder_fields", "water_deep_1", "no_data"]
        assert [each.count for each in classes] == [9704, 2200, None]
        (band,) = RasterExtension.ext(asset).bands
        assert (band.nodata, band.data_type, band.spatial_resolution) == (255, "uint8", 2.5)
        described = FileExtension.ext(asset)
        assert described.checksum == f"1220{files.sha256(made / 'classes.tif')}"
        assert described.size == (made / "classes.tif").stat().st_size

    def test_the_footprint_lies_where_the_map_does(self, made: Path) -> None:
        """15 degrees east is the central meridian: 500 km; 5000 km north is 45.15 degrees."""
        west, south, east, north = stac_of(made, "item.json")["bbox"]
        assert (west, north) == pytest.approx((15.0, 45.1535), abs=1e-3)
        assert (east - west) * 111_320 * np.cos(np.radians(45.15)) == pytest.approx(320, rel=0.01)
        assert (north - south) * 111_140 == pytest.approx(240, rel=0.01)

    def test_the_model_says_what_it_wants(self, made: Path) -> None:
        item = pystac.Item.from_file(str(made / "model.json"))
        found = MLMExtension.ext(item)
        assert found.architecture == "threshold"
        assert found.input[0].to_dict()["bands"] == ["green", "nir"]
        assert [each.description for each in found.output[0].classes or []] == list(SCHEME.names)
        assert item.assets["model"].href == "./run.json"

    def test_the_library_of_the_model_extension_takes_the_model(
        self, made: Path, tmp_path: Path
    ) -> None:
        """Its pydantic models check kinds and names; a network has scaling, too."""
        schema = pytest.importorskip("stac_model.schema")
        moved = shutil.copytree(made.parent, tmp_path / "area") / "map"
        record = json.loads((moved / "run.json").read_text(encoding="utf-8"))
        (spec,) = record["options"]["model"]
        spec |= {"architecture": "unet", "backbone": "resnet18", "mean": [300, 900], "std": [9, 7]}
        (moved / "run.json").write_text(json.dumps(record), encoding="utf-8")
        geoseg.publish(moved)
        for land_map, architecture in ((made, "threshold"), (moved, "unet resnet18")):
            properties = stac_of(land_map, "model.json")["properties"]
            found = schema.MLModelProperties.model_validate(properties)
            assert (found.architecture, found.tasks) == (architecture, {"semantic-segmentation"})
            assert found.input[0].bands == ["green", "nir"]
            assert found.output[0].result.shape == [-1, 2, -1, -1]
            assert [each.value for each in found.output[0].classes] == [0, 1]
        scaling = found.input[0].value_scaling
        assert [(each.mean, each.stddev) for each in scaling] == [(300, 9), (900, 7)]

    def test_a_map_without_a_model_has_no_model_item(self, made: Path, tmp_path: Path) -> None:
        moved = shutil.copytree(made.parent, tmp_path / "area") / "map"
        record = json.loads((moved / "run.json").read_text(encoding="utf-8"))
        record["options"]["model"] = "an architecture of one's own"
        (moved / "run.json").write_text(json.dumps(record), encoding="utf-8")
        (moved / "model.json").unlink()
        assert moved / "model.json" not in geoseg.publish(moved)
        links = stac_of(moved, "collection.json")["links"]
        assert [each["href"] for each in links if each["rel"] == "item"] == ["./item.json"]

    def test_the_date_is_what_the_user_says(self, made: Path) -> None:
        assert stac_of(made, "item.json")["properties"]["datetime"] == "2024-05-31T00:00:00Z"

    def test_else_it_is_what_the_scene_says(self, made: Path, tmp_path: Path) -> None:
        moved = shutil.copytree(made.parent, tmp_path / "area") / "map"
        with rasterio.open(moved.parent / "scene.tif", "r+") as dataset:
            dataset.update_tags(TIFFTAG_DATETIME="2023:07:09 10:11:12")
        options = geoseg.PublishOptions(imagery=moved.parent / "scene.tif")
        geoseg.publish(moved, options=options)
        assert stac_of(moved, "item.json")["properties"]["datetime"] == "2023-07-09T10:11:12Z"

    @pytest.mark.parametrize("written", ["0000:00:00 00:00:00", "2023:13:45 25:61:00", "May"])
    def test_a_tag_that_is_no_date_gives_the_time_of_mapping(
        self, made: Path, tmp_path: Path, written: str
    ) -> None:
        moved = shutil.copytree(made.parent, tmp_path / "area") / "map"
        with rasterio.open(moved.parent / "scene.tif", "r+") as dataset:
            dataset.update_tags(TIFFTAG_DATETIME=written)
        options = geoseg.PublishOptions(imagery=moved.parent / "scene.tif")
        geoseg.publish(moved, options=options)
        properties = stac_of(moved, "item.json")["properties"]
        assert properties["datetime"] == properties["created"]

    def test_a_date_that_is_none_is_refused(self) -> None:
        with pytest.raises(ValueError, match="as in 2024-05-31"):
            geoseg.PublishOptions(date="last summer")


class TestBandsInSeveralFiles:
    """Blue and green of 2.5 m, red of 5 m, as the record of a folder of bands names them."""

    def scene(self, made: Path, tmp_path: Path, crs: str) -> Path:
        moved = shutil.copytree(made.parent, tmp_path / "area") / "map"
        folder = moved.parent / "a, b & c"
        folder.mkdir()
        for value, (name, step) in enumerate([("B02", 1), ("B03", 1), ("B04", 2)], start=1):
            pixels = np.full((96 // step, 128 // step), value * 100, np.uint16)
            pixels[0, 0] = 0
            affine = Affine(2.5 * step, 0, 500_000, 0, -2.5 * step, 5_000_000)
            with rasterio.open(
                folder / f"{name}.tif", "w", driver="GTiff", count=1, dtype="uint16",
                height=96 // step, width=128 // step, transform=affine,
                crs=crs if step == 2 else "EPSG:32633",
            ) as dataset:  # fmt: skip
                dataset.write(pixels, 1)
        record = json.loads((moved / "run.json").read_text(encoding="utf-8"))
        record["inputs"] = [{"path": str(path), "sha256": ""} for path in sorted(folder.iterdir())]
        record["options"] |= {"scene": ["B02", "B03", "B04"], "nodata": 0.0}
        (moved / "run.json").write_text(json.dumps(record), encoding="utf-8")
        return moved

    def test_they_are_arranged_on_the_finest_grid(self, made: Path, tmp_path: Path) -> None:
        moved = self.scene(made, tmp_path, "EPSG:32633")
        assert moved / "imagery.vrt" in geoseg.publish(moved)
        with rasterio.open(moved / "imagery.vrt") as dataset:
            red, green, blue = dataset.read(masked=True)
            assert (dataset.shape, dataset.transform.a) == ((96, 128), 2.5)
            assert dataset.crs.to_epsg() == 32633
        assert [band[5, 5] for band in (red, green, blue)] == [300, 200, 100]
        assert [int(band.mask.sum()) for band in (red, green, blue)] == [4, 1, 1]
        assert sources_of(project_of(moved))[-1] == "./imagery.vrt"

    def test_bands_in_two_crss_are_left_out(self, made: Path, tmp_path: Path) -> None:
        moved = self.scene(made, tmp_path, "EPSG:32634")
        assert moved / "imagery.vrt" not in geoseg.publish(moved)
        assert sources_of(project_of(moved))[-1] == "./confidence.tif"


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
