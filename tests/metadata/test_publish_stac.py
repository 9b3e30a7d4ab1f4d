"""STAC documents of a published map."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from published import SCHEME, make_map
from published_areas import project_of, publish_area, sources_of, stac_of
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.mlm import MLMExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension
from pystac.validation.stac_validator import JsonSchemaSTACValidator

import geoseg
from geoseg import files


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published map; tests leave it as it is."""
    return publish_area(tmp_path_factory.mktemp("made") / "area")


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
        record["inputs"] = [
            {"role": "scene", "path": str(path), "sha256": ""} for path in sorted(folder.iterdir())
        ]
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
