"""ISO 19139: the record of a map for metadata catalogs such as GeoNetwork."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from geoseg import files, grid, ground
from geoseg.classes import IGNORE
from geoseg.layout import CLASSES, CONFIDENCE, ISO_RECORD
from geoseg.maps.contents import Contents
from geoseg.maps.links import href
from geoseg.metadata.iso_elements import SPACES, UNKNOWN, coded, day, node, second, text
from geoseg.metadata.iso_identification import identification, party
from geoseg.metadata.record_fields import finished_at, lineage, listed_files, record_id
from geoseg.xmlfile import as_bytes

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
LANGUAGES = "http://www.loc.gov/standards/iso639-2/"
FORMATS = {
    ".tif": "Cloud Optimized GeoTIFF", ".gpkg": "GeoPackage", ".geojson": "GeoJSON",
    ".fgb": "FlatGeobuf", ".parquet": "GeoParquet", ".geojsonl": "GeoJSON text sequence",
    ".ndjson": "GeoJSON text sequence",
}  # fmt: skip


def write_iso(contents: Contents) -> list[Path]:
    """Write the ISO 19139 record of a map.

    Returns:
        metadata.xml.

    Raises:
        GridError: the map's CRS is not tied to the ground.
        OutputError: the folder cannot be written to.
        RetryError: the disk is full.
    """
    path = contents.folder / ISO_RECORD
    files.write_bytes(path, as_bytes(_record(contents), HEAD))
    return [path]


def _record(contents: Contents) -> Element:
    english = node("gmd:LanguageCode", "English", codeList=LANGUAGES, codeListValue="eng")
    root = node(
        "gmd:MD_Metadata",
        text("gmd:fileIdentifier", record_id(contents)),
        node("gmd:language", english),
        coded("gmd:characterSet", "MD_CharacterSetCode", "utf8"),
        coded("gmd:hierarchyLevel", "MD_ScopeCode", "dataset"),
        node("gmd:contact", party(contents)),
        node("gmd:dateStamp", node("gco:Date", day(finished_at(contents)))),
        text("gmd:metadataStandardName", "ISO 19115:2003/19139"),
        text("gmd:metadataStandardVersion", "1.0"),
        node("gmd:spatialRepresentationInfo", _grid(contents)),
        node("gmd:referenceSystemInfo", _reference_system(contents)),
        node("gmd:identificationInfo", identification(contents)),
        *(node("gmd:contentInfo", each) for each in _rasters(contents)),
        node("gmd:distributionInfo", _distribution(contents)),
        node("gmd:dataQualityInfo", _quality(contents)),
    )
    root.attrib.update(SPACES)
    return root


def _grid(contents: Contents) -> Element:
    """Rows and columns, and the size of a pixel in metres."""
    size = f"{ground.gsd_m(contents.geobox):.6g}"
    axes = (
        node(
            "gmd:axisDimensionProperties",
            node(
                "gmd:MD_Dimension",
                coded("gmd:dimensionName", "MD_DimensionNameTypeCode", name),
                node("gmd:dimensionSize", node("gco:Integer", str(count))),
                node("gmd:resolution", node("gco:Measure", size, uom="m")),
            ),
        )
        for name, count in zip(("row", "column"), contents.geobox.shape, strict=True)
    )
    return node(
        "gmd:MD_GridSpatialRepresentation",
        node("gmd:numberOfDimensions", node("gco:Integer", "2")),
        *axes,
        coded("gmd:cellGeometry", "MD_CellGeometryCode", "area"),
        node("gmd:transformationParameterAvailability", node("gco:Boolean", "true")),
    )


def _reference_system(contents: Contents) -> Element:
    """The CRS by its authority code; as WKT without one."""
    crs = grid.crs_of(contents.geobox).proj
    space, code = crs.to_authority(min_confidence=100) or ("WKT", crs.to_wkt())
    return node(
        "gmd:MD_ReferenceSystem",
        node(
            "gmd:referenceSystemIdentifier",
            node("gmd:RS_Identifier", text("gmd:code", code), text("gmd:codeSpace", space)),
        ),
    )


def _rasters(contents: Contents) -> Iterator[Element]:
    """The meaning of pixel values, for each raster."""
    listed = [*enumerate(contents.scheme.names), (IGNORE, "not mapped")]
    meanings = {
        CLASSES: ("; ".join(f"{i} = {name}" for i, name in listed), "thematicClassification"),
        CONFIDENCE: (f"percent; {IGNORE} = not mapped", "physicalMeasurement"),
    }
    share = "percent of each class, a band each", "physicalMeasurement"
    for name in contents.rasters:
        meaning, kind = meanings.get(name, share)
        yield node(
            "gmd:MD_CoverageDescription",
            node("gmd:attributeDescription", node("gco:RecordType", f"{name}: {meaning}")),
            coded("gmd:contentType", "MD_CoverageContentTypeCode", kind),
        )


def _distribution(contents: Contents) -> Element:
    found = list(listed_files(contents))
    suffixes = dict.fromkeys(each.path.suffix.lower() for each in found)
    formats = (
        node("gmd:MD_Format", text("gmd:name", FORMATS[suffix]), node("gmd:version", **UNKNOWN))
        for suffix in suffixes
        if suffix in FORMATS
    )
    online = (
        node(
            "gmd:CI_OnlineResource",
            node("gmd:linkage", node("gmd:URL", href(each.path, contents.folder))),
            text("gmd:protocol", "WWW:DOWNLOAD"),
            text("gmd:name", each.path.name),
            text("gmd:description", each.title),
            coded("gmd:function", "CI_OnLineFunctionCode", "download"),
        )
        for each in found
    )
    return node(
        "gmd:MD_Distribution",
        *(node("gmd:distributionFormat", each) for each in formats),
        node(
            "gmd:transferOptions",
            node("gmd:MD_DigitalTransferOptions", *(node("gmd:onLine", each) for each in online)),
        ),
    )


def _quality(contents: Contents) -> Element:
    """Lineage: inputs, software and run."""
    scope = coded("gmd:level", "MD_ScopeCode", "dataset")
    made = node("gmd:LI_Lineage", text("gmd:statement", lineage(contents)))
    record = contents.record
    if record is not None:
        software = ", ".join(f"{name} {version}" for name, version in record.versions.items())
        step = node(
            "gmd:LI_ProcessStep",
            text("gmd:description", f"geoseg {record.step}, run {record.key}, with {software}"),
            node("gmd:dateTime", node("gco:DateTime", second(finished_at(contents)))),
        )
        made.append(node("gmd:processStep", step))
        for each in record.inputs:
            source = f"{Path(each['path']).name}, sha256 {each['sha256']}"
            made.append(node("gmd:source", node("gmd:LI_Source", text("gmd:description", source))))
    return node(
        "gmd:DQ_DataQuality",
        node("gmd:scope", node("gmd:DQ_Scope", scope)),
        node("gmd:lineage", made),
    )
