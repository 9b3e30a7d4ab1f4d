"""What QGIS makes of a file, as JSON: run by the system's Python, which has PyQGIS.

look.py layer FILE [SLD]      a raster or polygon file, opened as a user drags it into QGIS
look.py project FILE OUT      a project: its layers, and its layout as PNG and PDF in OUT
look.py draw FILE OUT LAYER N one layer of a project, N x N pixels of OUT to a pixel of the map
look.py definition FILE       a layer definition, loaded into an empty project
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsLayerDefinition,
    QgsLayerTreeLayer,
    QgsLayoutExporter,
    QgsMapLayerLegend,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor


def layer(path, sld=None):
    for kind, provider in ((QgsRasterLayer, "gdal"), (QgsVectorLayer, "ogr")):
        opened = kind(path, Path(path).stem, provider)
        if opened.isValid():
            if sld is not None:
                opened.loadSldStyle(sld)
            return facts(opened)
    return {"valid": False}


def project(path, out):
    opened = QgsProject.instance()
    read = opened.read(path)
    root = opened.layerTreeRoot()
    order = [node.layer() for node in root.findLayers()]
    layouts = opened.layoutManager().printLayouts()
    found = {
        "read": read,
        "title": opened.title(),
        "crs": opened.crs().authid() or opened.crs().toWkt(),
        "ellipsoid": opened.ellipsoid(),
        "extent": corners(opened.viewSettings().defaultViewExtent()),
        "groups": [group.name() for group in root.findGroups()],
        "visible": [node.name() for node in root.findLayers() if node.isVisible()],
        "layers": [facts(each) if each else {"valid": False} for each in order],
        "layouts": {each.name(): items(each) for each in layouts},
    }
    for each in layouts:
        exporter = QgsLayoutExporter(each)
        picture, page = QgsLayoutExporter.ImageExportSettings(), f"{out}/layout"
        picture.dpi = 100
        found["png"] = exporter.exportToImage(f"{page}.png", picture)
        found["pdf"] = exporter.exportToPdf(f"{page}.pdf", QgsLayoutExporter.PdfExportSettings())
    return found


def draw(path, out, name, scale):
    opened = QgsProject.instance()
    opened.read(path)
    grid = next(each for each in opened.mapLayers().values() if each.name() == "Classes")
    settings = QgsMapSettings()
    settings.setLayers([each for each in opened.mapLayers().values() if each.name() == name])
    settings.setDestinationCrs(grid.crs())
    settings.setExtent(grid.extent())
    settings.setOutputSize(QSize(grid.width(), grid.height()) * int(scale))
    settings.setBackgroundColor(QColor(255, 0, 255))
    settings.setFlag(QgsMapSettings.Antialiasing, False)
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    return {"errors": len(job.errors()), "saved": job.renderedImage().save(out)}


def definition(path):
    opened = QgsProject.instance()
    loaded, message = QgsLayerDefinition.loadLayerDefinition(path, opened, opened.layerTreeRoot())
    nodes = opened.layerTreeRoot().findLayers()
    layers = [facts(node.layer()) if node.layer() else {"valid": False} for node in nodes]
    groups = [group.name() for group in opened.layerTreeRoot().findGroups(True)]
    return {"loaded": loaded, "message": message, "layers": layers, "groups": groups}


def facts(opened):
    renderer = opened.renderer()
    names = (node.data(0) for node in legend_nodes(opened))
    return {
        "name": opened.name(),
        "valid": opened.isValid(),
        "crs": opened.crs().authid() or opened.crs().toWkt(),
        "extent": corners(opened.extent()),
        "renderer": renderer.type() if renderer else "",
        "classes": list(classes(renderer)),
        "legend": [name for name in names if isinstance(name, str) and name],
        "source": opened.source(),
    }


def legend_nodes(opened):
    """What stands below a layer in the legend."""
    vector = isinstance(opened, QgsVectorLayer)
    make = (
        QgsMapLayerLegend.defaultVectorLegend if vector else QgsMapLayerLegend.defaultRasterLegend
    )
    return make(opened).createLayerTreeModelLegendNodes(QgsLayerTreeLayer(opened))


def classes(renderer):
    if renderer is None:
        return
    if renderer.type() == "paletted":
        for each in renderer.classes():
            yield [int(each.value), each.label, each.color.name(QColor.HexArgb)]
    if renderer.type() == "categorizedSymbol":
        for each in renderer.categories():
            yield [each.value(), each.label(), each.symbol().color().name(QColor.HexArgb)]


def items(layout):
    names = (type(each).__name__ for each in layout.items())
    return sorted(name for name in names if name.startswith("QgsLayoutItem"))


def corners(box):
    return [box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()]


if __name__ == "__main__":
    application = QgsApplication([], True)
    application.initQgis()
    verbs = {"layer": layer, "project": project, "draw": draw, "definition": definition}
    answer = verbs[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write(json.dumps(answer, default=str) + "\n")
    sys.stdout.flush()
    QgsProject.instance().clear()
    application.exitQgis()
