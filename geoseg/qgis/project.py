"""A QGIS project and a layer definition, written without QGIS."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement

from pyproj.crs import Ellipsoid  # type: ignore[attr-defined]
from pyproj.exceptions import CRSError

from geoseg import files, grid
from geoseg.layout import LAYER_DEFINITION, PROJECT
from geoseg.maps.contents import Contents
from geoseg.qgis.print_layout import print_layout
from geoseg.qgis.project_layers import (
    ProjectLayer,
    layer_tree,
    map_layer,
    project_layers,
    spatial_ref_sys,
)
from geoseg.xmlfile import as_bytes

if TYPE_CHECKING:
    import pyproj

VERSION = "3.22.0"
"""Version of the project format; this and newer versions of QGIS read it."""
DOCTYPES = {
    "qgis": "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n",
    "qlr": "<!DOCTYPE qgis-layer-definition>\n",
}
FIXED_DATE = (2000, 1, 1, 0, 0, 0)
"""Time of the file in the archive, so that the same map gives the same bytes."""


def write_project(contents: Contents) -> list[Path]:
    """Write a project and a layer definition beside a map, with relative paths.

    Returns:
        map.qgz and map.qlr.

    Raises:
        RasterError: the imagery cannot be read.
        OutputError: the folder cannot be written to.
        RetryError: the disk is full.
    """
    layers = project_layers(contents)
    project, definition = contents.folder / PROJECT, contents.folder / LAYER_DEFINITION
    files.write_bytes(project, _zipped("map.qgs", _document(_project(contents, layers))))
    files.write_bytes(definition, _document(_layer_definition(contents, layers)))
    return [project, definition]


def _project(contents: Contents, layers: Sequence[ProjectLayer]) -> Element:
    crs = grid.crs_of(contents.geobox).proj
    root = Element("qgis", projectname=contents.title, version=VERSION)
    SubElement(root, "homePath", path="")
    SubElement(root, "title").text = contents.title
    SubElement(root, "projectCrs").append(spatial_ref_sys(crs))
    root.append(layer_tree(layers, contents.folder))
    root.append(_canvas(contents))
    shown = SubElement(root, "projectlayers")
    order = SubElement(root, "layerorder")
    for each in layers:
        shown.append(map_layer(each, contents.folder))
        SubElement(order, "layer", id=each.id)
    root.append(_properties(contents))
    root.append(_metadata(contents))
    classes = next(each for each in layers if each.name == "Classes")
    SubElement(root, "Layouts").append(print_layout(contents, classes))
    view = SubElement(root, "ProjectViewSettings", UseProjectScales="0")
    west, south, east, north = map(repr, grid.bounds(contents.geobox))
    extent = SubElement(view, "DefaultViewExtent", xmin=west, ymin=south, xmax=east, ymax=north)
    extent.append(spatial_ref_sys(crs))
    return root


def _layer_definition(contents: Contents, layers: Sequence[ProjectLayer]) -> Element:
    """The layers alone, to drag into another project."""
    root = Element("qlr")
    groups = layer_tree(layers, contents.folder)
    outer = Element("layer-tree-group", name=contents.title, checked="Qt::Checked", expanded="1")
    outer.extend(groups)
    SubElement(root, "layer-tree-group").append(outer)
    shown = SubElement(root, "maplayers")
    shown.extend(map_layer(each, contents.folder) for each in layers)
    return root


def _canvas(contents: Contents) -> Element:
    """The view when the project opens: the whole map."""
    crs = grid.crs_of(contents.geobox).proj
    node = Element("mapcanvas", name="theMapCanvas", annotationsVisible="1")
    SubElement(node, "units").text = "degrees" if crs.is_geographic else "meters"
    extent = SubElement(node, "extent")
    for name, value in zip(
        ("xmin", "ymin", "xmax", "ymax"), grid.bounds(contents.geobox), strict=True
    ):
        SubElement(extent, name).text = repr(value)
    SubElement(node, "rotation").text = "0"
    SubElement(node, "destinationsrs").append(spatial_ref_sys(crs))
    return node


def _properties(contents: Contents) -> Element:
    """Relative paths; lengths and areas on the ellipsoid, in metres."""
    node = Element("properties")
    for group, name, kind, value in (
        ("Paths", "Absolute", "bool", "false"),
        ("SpatialRefSys", "ProjectionsEnabled", "int", "1"),
        ("Measure", "Ellipsoid", "QString", _ellipsoid(grid.crs_of(contents.geobox).proj)),
        ("Measurement", "DistanceUnits", "QString", "meters"),
        ("Measurement", "AreaUnits", "QString", "m2"),
    ):
        inside = node.find(group)
        parent = SubElement(node, group) if inside is None else inside
        SubElement(parent, name, type=kind).text = value
    return node


def _ellipsoid(crs: pyproj.CRS) -> str:
    """Code of the ellipsoid that QGIS measures on; NONE, for the plane, where it has no code."""
    name = "" if crs.ellipsoid is None else crs.ellipsoid.name
    try:
        code = Ellipsoid.from_name(name).to_json_dict()["id"]
    except (CRSError, KeyError):
        return "NONE"
    return f"{code['authority']}:{code['code']}"


def _metadata(contents: Contents) -> Element:
    node = Element("projectMetadata")
    record = contents.record
    SubElement(node, "identifier").text = record.key if record else ""
    SubElement(node, "title").text = contents.title
    SubElement(node, "abstract").text = f"Classes: {', '.join(contents.scheme.names)}."
    SubElement(node, "type").text = "dataset"
    SubElement(node, "author").text = contents.description.credits
    SubElement(node, "creation").text = record.finished if record else ""
    return node


def _document(root: Element) -> bytes:
    return as_bytes(root, DOCTYPES[root.tag])


def _zipped(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, FIXED_DATE), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()
