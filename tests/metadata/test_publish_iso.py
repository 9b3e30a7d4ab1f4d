"""The ISO 19139 record of a map: by its schema, by an independent reader, and by hand."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import rasterio
from affine import Affine
from published import SCHEME, make_map

import geoseg
from geoseg import files
from geoseg.job import read_record

GMD, GCO = "{http://www.isotc211.org/2005/gmd}", "{http://www.isotc211.org/2005/gco}"
ODD_CRS = "+proj=laea +lat_0=46 +lon_0=15 +x_0=500000 +y_0=5000000 +ellps=bessel +units=m"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map with its record; tests leave it as it is."""
    land_map = make_map(tmp_path_factory.mktemp("made") / "area & more")
    options = geoseg.PublishOptions(
        title="Lakes & <woods>\x07", credits="A. Mapper & Söhne", date="2024-05-31T10:20:00Z",
        license="CC-BY-4.0", records="iso19139",
    )  # fmt: skip
    geoseg.publish(land_map, options=options)
    return land_map


def published(folder: Path, **where: Any) -> ElementTree.Element:
    land_map = make_map(folder, **where)
    geoseg.publish(land_map, options=geoseg.PublishOptions(records="both"))
    assert (land_map / "item.json").is_file()
    return root_of(land_map)


def root_of(land_map: Path) -> ElementTree.Element:
    return ElementTree.fromstring((land_map / "metadata.xml").read_bytes())


def texts(root: ElementTree.Element, name: str) -> list[str]:
    """What stands in all elements of a name."""
    return ["".join(each.itertext()).strip() for each in root.iter(f"{GMD}{name}")]


def test_it_is_valid_by_the_schema_of_2007(made: Path, tmp_path: Path) -> None:
    """The schemas are those that pycsw carries; they name each other by relative paths."""
    etree, pycsw = pytest.importorskip("lxml.etree"), find_spec("pycsw")
    assert pycsw is not None and pycsw.origin is not None
    profiles = Path(pycsw.origin).parent / "plugins" / "profiles" / "apiso"
    schema = profiles / "schemas" / "ogc" / "iso" / "19139" / "20070417" / "gmd" / "gmd.xsd"
    published(tmp_path / "odd", crs=ODD_CRS)
    rules = etree.XMLSchema(etree.parse(schema, etree.XMLParser(no_network=True)))
    for land_map in (made, tmp_path / "odd" / "map"):
        rules.assertValid(etree.parse(land_map / "metadata.xml"))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_owslib_reads_what_was_written(made: Path) -> None:
    etree, iso = pytest.importorskip("lxml.etree"), pytest.importorskip("owslib.iso")
    found = iso.MD_Metadata(etree.parse(made / "metadata.xml"))
    record = read_record(made / "run.json")
    assert record is not None
    assert found.identifier == f"map-{record.key[:12]}"
    assert (found.hierarchy, found.languagecode) == ("dataset", "eng")
    assert (found.referencesystem.code, found.referencesystem.codeSpace) == ("32633", "EPSG")
    assert [each.organization for each in found.contact] == ["A. Mapper & Söhne"]
    (about,) = getattr(found, "identificationinfo", None) or found.identification
    assert about.title == "Lakes & <woods>\ufffd"
    assert about.abstract.startswith('A map of Wälder & fields, water "deep" <1>. Every pixel')
    assert (float(about.distance[0]), about.uom) == (pytest.approx(2.5, rel=1e-3), ["m"])
    assert (about.useconstraints, about.otherconstraints) == (["license"], ["CC-BY-4.0"])
    assert about.topiccategory == ["imageryBaseMapsEarthCover"]
    assert (about.temporalextent_start, about.temporalextent_end) == ("2024-05-31T10:20:00Z",) * 2
    corner = float(about.bbox.minx), float(about.bbox.maxy)
    assert corner == pytest.approx((15.0, 45.1535), abs=1e-3)
    assert {each.name for each in found.distribution.online} >= {"classes.tif", "landcover.gpkg"}


def test_places_times_and_files_are_those_worked_out_by_hand(made: Path) -> None:
    """15 degrees east is the central meridian: 500 km; 5000 km north is 45.15 degrees."""
    root = root_of(made)
    west, east, south, north = (
        float(texts(root, name)[0])
        for name in (
            "westBoundLongitude", "eastBoundLongitude", "southBoundLatitude", "northBoundLatitude",
        )
    )  # fmt: skip
    assert (west, north) == pytest.approx((15.0, 45.1535), abs=1e-3)
    assert (east - west) * 78_500 == pytest.approx(320, rel=0.01)
    assert (north - south) * 111_140 == pytest.approx(240, rel=0.01)
    assert texts(root, "dimensionSize") == ["96", "128"]
    assert float(texts(root, "distance")[0]) == pytest.approx(2.5, rel=1e-3)
    addresses = texts(root, "URL")
    assert addresses[:2] == ["./classes.tif", "./confidence.tif"]
    assert "../landcover.gpkg" in addresses
    assert all((made / each).is_file() for each in addresses)
    assert texts(root, "MD_Format") == ["Cloud Optimized GeoTIFF", "GeoPackage", "GeoJSON"]


def test_classes_and_lineage_are_those_of_the_run(made: Path) -> None:
    root = root_of(made)
    assert texts(root, "keyword") == list(SCHEME.names)
    meanings = [each.text for each in root.iter(f"{GCO}RecordType")]
    assert meanings[0] == (
        'classes.tif: 0 = Wälder & fields; 1 = water "deep" <1>; 255 = not mapped'
    )
    assert meanings[1] == "confidence.tif: percent; 255 = not mapped"
    sources = [each for each in texts(root, "source") if each.startswith("scene.tif")]
    assert sources == [f"scene.tif, sha256 {files.sha256(made.parent / 'scene.tif')}"]
    record = read_record(made / "run.json")
    assert record is not None
    (step,) = texts(root, "processStep")
    assert f"run {record.key}" in step
    assert f"rasterio {rasterio.__version__}" in step


def test_a_crs_without_a_code_stands_in_full(tmp_path: Path) -> None:
    root = published(tmp_path / "area", crs=ODD_CRS)
    (system,) = texts(root, "code")[:1]
    assert "Lambert Azimuthal Equal Area" in system
    assert texts(root, "codeSpace") == ["WKT"]


def test_a_map_across_the_antimeridian_has_a_box_from_west_to_east(tmp_path: Path) -> None:
    """EPSG:3832 is centred on 150 degrees east: 180 is 3 339 585 m east of that."""
    affine = Affine(10, 0, 3_339_585 - 640, 0, -10, 480)
    root = published(tmp_path / "area", crs="EPSG:3832", affine=affine)
    west, east = (texts(root, f"{side}BoundLongitude")[0] for side in ("west", "east"))
    assert (float(west), float(east)) == pytest.approx((179.99425, -179.99425), abs=1e-4)


def test_only_the_records_asked_for_are_written(made: Path, tmp_path: Path) -> None:
    assert not (made / "item.json").exists()
    written = geoseg.publish(make_map(tmp_path / "area"))
    assert "metadata.xml" not in [path.name for path in written]
