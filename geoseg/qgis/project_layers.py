"""Layers of a QGIS project or layer definition, as its XML."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, SubElement, fromstring

import numpy as np
import rasterio

from geoseg import style
from geoseg.grid import crs_of
from geoseg.layout import CLASSES, CONFIDENCE
from geoseg.maps.contents import Contents
from geoseg.raster.drivers import driver_of
from geoseg.render import true_colour

if TYPE_CHECKING:
    import pyproj

    from geoseg.raster import FileSource
    from geoseg.vector.layer import Layer

GROUPS = ("Labels", "Result", "Confidence", "Imagery")
"""Groups of the legend, from the top down."""
PREVIEW_PX = 512
"""Side of the preview of a scene that its contrast is measured on."""


@dataclass(frozen=True)
class ProjectLayer:
    """A layer of a project.

    Attributes:
        group: its group in the legend.
        name: its name in the legend.
        path: the file.
        table: layer in the file; empty for a raster.
        crs: CRS of the file.
        qml: its style.
        visible: whether it is ticked.
    """

    group: str
    name: str
    path: Path
    table: str
    crs: pyproj.CRS
    qml: str
    visible: bool

    @property
    def id(self) -> str:
        """Id in the project: derived from the file, so that publishing again keeps it."""
        key = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.path.resolve().as_posix()}|{self.table}")
        return f"{self.path.stem}_{key.hex}"

    @property
    def provider(self) -> str:
        """QGIS's data provider."""
        return "ogr" if self.table else "gdal"

    def source(self, folder: Path) -> str:
        """The data source, relative to the folder of the project; absolute on another drive."""
        try:
            path = Path(os.path.relpath(self.path.resolve(), folder.resolve())).as_posix()
            path = path if path.startswith("..") else f"./{path}"
        except ValueError:
            path = self.path.resolve().as_posix()
        return f"{path}|layername={self.table}" if self.table else path


def project_layers(contents: Contents) -> list[ProjectLayer]:
    """The layers of a map's project, from the top down.

    Raises:
        RasterError: the imagery cannot be read.
    """
    return list(_layers(contents))


def layer_tree(layers: Sequence[ProjectLayer], folder: Path) -> Element:
    """The legend: layers in their groups.

    Args:
        layers: the layers, from the top down.
        folder: the folder of the project, which sources are relative to.
    """
    root = Element("layer-tree-group")
    SubElement(root, "customproperties")
    for name in GROUPS:
        inside = [each for each in layers if each.group == name]
        if inside:
            ticked = "Qt::Checked" if any(each.visible for each in inside) else "Qt::Unchecked"
            group = SubElement(root, "layer-tree-group", name=name, checked=ticked, expanded="1")
            SubElement(group, "customproperties")
            for each in inside:
                group.append(_tree_leaf(each, folder))
    return root


def _tree_leaf(layer: ProjectLayer, folder: Path) -> Element:
    node = Element(
        "layer-tree-layer",
        id=layer.id,
        name=layer.name,
        source=layer.source(folder),
        providerKey=layer.provider,
        checked="Qt::Checked" if layer.visible else "Qt::Unchecked",
        expanded="1" if layer.visible else "0",
    )
    SubElement(node, "customproperties")
    return node


def map_layer(layer: ProjectLayer, folder: Path) -> Element:
    """The element of a layer with its source and style.

    Args:
        layer: the layer.
        folder: the folder of the project, which its source is relative to.
    """
    kind = "vector" if layer.table else "raster"
    node = Element("maplayer", type=kind, styleCategories="AllStyleCategories")
    if layer.table:
        node.set("geometry", "Polygon")
    SubElement(node, "id").text = layer.id
    SubElement(node, "datasource").text = layer.source(folder)
    SubElement(node, "layername").text = layer.name
    SubElement(node, "srs").append(spatial_ref_sys(layer.crs))
    encoding = {"encoding": "UTF-8"} if layer.table else {}
    SubElement(node, "provider", encoding).text = layer.provider
    if not layer.table:
        SubElement(SubElement(node, "noData"), "noDataList", bandNo="1", useSrcNoData="1")
    for each in fromstring(layer.qml):  # noqa: S314  (from geoseg.style)
        node.append(each)
    return node


def spatial_ref_sys(crs: pyproj.CRS) -> Element:
    """A CRS as authority code, where it has one, and as WKT, which every CRS has."""
    node = Element("spatialrefsys", nativeFormat="Wkt")
    authority = crs.to_authority(min_confidence=100)
    SubElement(node, "wkt").text = crs.to_wkt()
    SubElement(node, "authid").text = ":".join(authority) if authority else ""
    SubElement(node, "description").text = crs.name
    SubElement(node, "geographicflag").text = "true" if crs.is_geographic else "false"
    return node


def _layers(contents: Contents) -> Iterator[ProjectLayer]:
    scheme, folder = contents.scheme, contents.folder
    crs = crs_of(contents.geobox).proj
    if contents.labels is not None:
        known = scheme.column in contents.labels.fields
        qml = style.labels_qml(scheme, str(scheme.column)) if known else style.outlines_qml()
        yield _polygons("Labels", "Labels", contents.labels, qml)
    for each in contents.polygons[:1]:
        yield _polygons("Result", "Polygons", each, style.polygons_qml(scheme))
    path = folder / CLASSES
    yield ProjectLayer("Result", "Classes", path, "", crs, style.raster_qml(scheme), visible=True)
    if CONFIDENCE in contents.rasters:
        path, qml = folder / CONFIDENCE, style.confidence_qml()
        yield ProjectLayer("Confidence", "Confidence", path, "", crs, qml, visible=False)
    if contents.imagery is not None and isinstance(contents.imagery.path, Path):
        path, crs = contents.imagery.path, crs_of(contents.imagery.geobox).proj
        qml = _image_style(contents.imagery, path)
        yield ProjectLayer("Imagery", path.stem, path, "", crs, qml, visible=True)


def _polygons(group: str, name: str, layer: Layer, qml: str) -> ProjectLayer:
    table = layer.name or layer.path.stem
    return ProjectLayer(group, name, layer.path, table, layer.crs, qml, visible=False)


def _image_style(source: FileSource, path: Path) -> str:
    """True colour, stretched from the 2nd to the 98th percentile of valid pixels.

    The range is written into the project, which then opens in the same colours everywhere.
    """
    red, green, blue = source.take(true_colour([band.name for band in source.bands])).select
    with rasterio.open(path.absolute(), driver=driver_of(path)) as dataset:
        step = max(1, *(side // PREVIEW_PX for side in dataset.shape))
        shape = tuple(max(1, side // step) for side in dataset.shape)
        pixels = dataset.read([red, green, blue], out_shape=(3, *shape), masked=True)
    return style.imagery_qml((red, green, blue), [_range(band) for band in pixels])


def _range(band: np.ma.MaskedArray[Any, Any]) -> tuple[float, float]:
    values = band.compressed()
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, (2, 98)) if len(values) else (0, 1)
    return float(low), float(high)
