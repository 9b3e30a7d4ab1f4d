"""A print layout: the map with title, legend, scale bar, north arrow and credits."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

import pyproj
from odc.geo.crs import CRS

from geoseg import grid, ground
from geoseg.errors import GridError
from geoseg.maps.contents import Contents, model_name
from geoseg.qgis.project_layers import ProjectLayer, spatial_ref_sys

type View = tuple[pyproj.CRS, tuple[float, float, float, float]]
"""Extent of the map item: a CRS, and west, south, east and north in it."""

NAME = "Map"
PAGE, MAP, PICTURE, LABEL, LEGEND, SCALE_BAR = 65638, 65639, 65640, 65641, 65642, 65646
"""Types of items, from QgsLayoutItemRegistry::ItemType of QGIS."""
LONG_MM, SHORT_MM = 297.0, 210.0
"""Sides of an A4 page."""
EDGE_MM, GAP_MM, HEAD_MM, FOOT_MM, LEGEND_MM = 12.0, 6.0, 14.0, 20.0, 58.0
MARGIN = 1.04
"""Extent of the map item, in extents of the map."""
UTM_WIDTH_DEG, UTM_NORTH_DEG = 6.0, 84.0
"""Largest width and latitude at which UTM is used: a zone is 6 degrees wide and ends at 84."""
NORTH_ARROW = ":/images/north_arrows/layout_default_north_arrow.svg"
FONT = "Sans Serif"
BOLD, NORMAL = 75, 50
"""Font weights of Qt 5, which Qt 6 reads too."""
CLASSES_IN_A_COLUMN = 24
LETTERS_IN_A_ROW = 26
"""Length of a class name that fits one column at 10 points."""


@dataclass(frozen=True)
class Box:
    """Position and size of an item, in millimetres from the upper left corner of the page."""

    x: float
    y: float
    width: float
    height: float


def print_layout(contents: Contents, classes: ProjectLayer) -> Element:
    """The print layout of a map, on one A4 page.

    Args:
        contents: the map.
        classes: the layer whose classes the legend lists.
    """
    crs, (west, south, east, north) = view = _view(contents)
    page, frame = _page_and_frame((east - west) / (north - south))
    column = Box(frame.x + frame.width + GAP_MM, frame.y, LEGEND_MM, frame.height)
    below = frame.y + frame.height + 3
    root = Element("Layout", name=NAME, units="mm", printResolution="300", worldFileMap="")
    SubElement(root, "Snapper", snapToGrid="0", snapToItems="1", snapToGuides="1", tolerance="5")
    SubElement(root, "Grid", resolution="10", resUnits="mm", offsetX="0", offsetY="0")
    pages = SubElement(root, "PageCollection")
    pages.append(_item(PAGE, "page", page, background="true"))
    shown = _map(view, frame)
    root.append(shown)
    map_id = shown.attrib["uuid"]
    head = Box(EDGE_MM, EDGE_MM, page.width - 2 * EDGE_MM, HEAD_MM - 2)
    root.append(_label("title", head, contents.title, size=18, weight=BOLD))
    root.append(_legend(contents, classes, column, map_id))
    root.append(_north_arrow(frame, below, map_id))
    metres = _metres_across(view)
    if metres:
        bar = Box(frame.x, below, frame.width / 2, 12)
        root.append(_scale_bar(bar, frame.width / metres, metres, map_id))
    foot = Box(EDGE_MM, page.height - EDGE_MM - 5, page.width - 2 * EDGE_MM, 6)
    root.append(_label("credits", foot, _credits(contents, crs), size=7, weight=NORMAL))
    return root


def _page_and_frame(aspect: float) -> tuple[Box, Box]:
    """The page, upright or landscape, and the frame of a map with this ratio of width to height."""
    best = None
    for width, height in ((LONG_MM, SHORT_MM), (SHORT_MM, LONG_MM)):
        across = width - 2 * EDGE_MM - GAP_MM - LEGEND_MM
        down = height - 2 * EDGE_MM - HEAD_MM - FOOT_MM
        high = min(down, across / aspect)
        frame = Box(EDGE_MM, EDGE_MM + HEAD_MM, high * aspect, high)
        # Landscape, unless the map gets at least a fifth larger on an upright page.
        if best is None or frame.height > 1.2 * best[1].height:
            best = Box(0, 0, width, height), frame
    assert best is not None, "there are two pages to try"
    return best


def _view(contents: Contents) -> View:
    """The map in its own CRS; a small map in degrees in UTM, where squares are square."""
    crs, box = grid.crs_of(contents.geobox), grid.bounds(contents.geobox)
    west, south, east, north = box
    if (
        not crs.proj.is_geographic
        or east - west > UTM_WIDTH_DEG
        or max(-south, north) > UTM_NORTH_DEG
    ):
        return crs.proj, box
    utm = CRS.utm(contents.geobox.extent).proj
    moved = pyproj.Transformer.from_crs(crs.proj, utm, always_xy=True).transform_bounds(*box)
    return utm, moved


def _metres_across(view: View) -> float | None:
    """Width of the map item on the ellipsoid in metres; None without an ellipsoid."""
    crs, (west, south, east, north) = view
    middle = (south + north) / 2
    try:
        return MARGIN * ground.distance_m(crs, (west, middle), (east, middle))
    except GridError:
        return None


def _map(view: View, frame: Box) -> Element:
    crs, (west, south, east, north) = view
    x, y = (west + east) / 2, (south + north) / 2
    half_x, half_y = MARGIN * (east - west) / 2, MARGIN * (north - south) / 2
    node = _item(
        MAP, "map", frame, frame="true", background="true", keepLayerSet="false",
        followPreset="false", drawCanvasItems="true", mapRotation="0",
    )  # fmt: skip
    SubElement(
        node, "Extent", xmin=repr(x - half_x), xmax=repr(x + half_x), ymin=repr(y - half_y),
        ymax=repr(y + half_y),
    )  # fmt: skip
    SubElement(node, "crs").append(spatial_ref_sys(crs))
    return node


def _legend(contents: Contents, classes: ProjectLayer, column: Box, map_id: str) -> Element:
    """The classes without the name of their band, in a size at which all fit."""
    count = len(contents.scheme.classes)
    columns = 1 if count <= CLASSES_IN_A_COLUMN else 2
    rows = math.ceil(count / columns)
    step = min(7.0, (column.height - 12) / rows)
    node = _item(
        LEGEND, "legend", column, title="Classes", map_uuid=map_id, resizeToContents="1",
        columnCount=str(columns), splitLayer="1", boxSpace="0", columnSpace="3",
        symbolWidth=f"{step:.3g}", symbolHeight=f"{0.6 * step:.3g}", fontColor="#1f2933",
        rasterBorder="1", rasterBorderColor="31,41,51,255", rasterBorderWidth="0.1",
        wrapChar="", lineSpacing="1", symbolAlignment="1", titleAlignment="1",
    )  # fmt: skip
    styles = SubElement(node, "styles")
    longest = columns * max(map(len, contents.scheme.names))
    size = min(10 * step / 7, max(4, 10 * LETTERS_IN_A_ROW / longest))
    for name, points, weight, space in (
        ("title", 11, BOLD, {"marginBottom": "2"}),
        ("group", size, NORMAL, {"marginTop": "0"}),
        ("subgroup", size, NORMAL, {"marginTop": "0"}),
        ("symbol", size, NORMAL, {"marginTop": f"{0.4 * step:.3g}"}),
        ("symbolLabel", size, NORMAL, {"marginTop": "0", "marginLeft": "2"}),
    ):
        each = SubElement(styles, "style", {"name": name, "alignment": "1", "indent": "0", **space})
        SubElement(each, "styleFont", description=_font(points, weight), style="")
    tree = SubElement(node, "layer-tree-group")
    leaf = SubElement(
        tree, "layer-tree-layer", id=classes.id, name=classes.name, providerKey=classes.provider,
        source=classes.source(contents.folder), checked="Qt::Checked", expanded="1",
    )  # fmt: skip
    # A paletted layer's first legend node is the name of its band: hide it by listing the others.
    properties = SubElement(SubElement(leaf, "customproperties"), "Option", type="Map")
    order = ",".join(str(1 + i) for i in range(count))
    for name, value in (("legend/title-style", "hidden"), ("legend/node-order", order)):
        SubElement(properties, "Option", name=name, type="QString", value=value)
    return node


def _north_arrow(frame: Box, below: float, map_id: str) -> Element:
    """A north arrow under the lower right corner of the map."""
    place = Box(frame.x + frame.width - 12, below, 12, 13)
    return _item(
        PICTURE, "north", place, file=NORTH_ARROW, mapUuid=map_id, northMode="1", mode="0",
        resizeMode="0", anchorPoint="1", svgFillColor="255,255,255,255",
        svgBorderColor="31,41,51,255", svgBorderWidth="0.2",
    )  # fmt: skip


def _scale_bar(place: Box, mm_per_metre: float, metres: float, map_id: str) -> Element:
    """A scale bar of two segments, together about a third of the map's width."""
    segment = _round(metres / 6)
    unit, label, one = ("km", "km", 1000.0) if segment >= 1000 else ("meters", "m", 1.0)
    node = _item(
        SCALE_BAR, "scale bar", place, mapUuid=map_id, style="Single Box", unitType=unit,
        unitLabel=label, numMapUnitsPerScaleBarUnit="1", numSegments="2", numSegmentsLeft="0",
        numUnitsPerSegment=f"{segment / one:g}", segmentSizeMode="0", height="2",
        segmentMillimeters=f"{mm_per_metre * segment:.6g}", labelBarSpace="1.5",
        boxContentSpace="0", outlineWidth="0.2", minBarWidth="20", maxBarWidth="100",
        alignment="0", labelVerticalPlacement="0", labelHorizontalPlacement="0",
    )  # fmt: skip
    SubElement(
        node, "text-style", fontFamily=FONT, fontSize="8", fontSizeUnit="Point", textOpacity="1",
        textColor="31,41,51,255", fontWeight="50",
    )  # fmt: skip
    for name, level in (("strokeColor", "31"), ("fillColor", "31"), ("fillColor2", "255")):
        SubElement(node, name, red=level, green=level, blue=level, alpha="255")
    return node


def _label(name: str, place: Box, text: str, *, size: float, weight: int) -> Element:
    """A line of text; [% is broken up, as QGIS would evaluate what follows as an expression."""
    node = _item(
        LABEL, name, place, labelText=text.replace("[%", "[ %"), htmlState="0", halign="1",
        valign="128", marginX="0", marginY="0",
    )  # fmt: skip
    SubElement(node, "LabelFont", description=_font(size, weight), style="")
    SubElement(node, "FontColor", red="31", green="41", blue="51", alpha="255")
    return node


def _item(kind: int, name: str, place: Box, **attributes: str) -> Element:
    own = f"{{{uuid.uuid5(uuid.NAMESPACE_OID, f'geoseg {name}')}}}"
    position = f"{place.x:.6g},{place.y:.6g},mm"
    standing = {
        "type": str(kind), "uuid": own, "templateUuid": own, "id": "" if kind == PAGE else name,
        "position": position, "positionOnPage": position, "referencePoint": "0",
        "size": f"{place.width:.6g},{place.height:.6g},mm", "visibility": "1", "opacity": "1",
        "frame": "false", "background": "false", "outlineWidthM": "0.2,mm", "zValue": "1",
        "excludeFromExports": "0",
    }  # fmt: skip
    node = Element("LayoutItem", standing | attributes)
    SubElement(node, "FrameColor", red="31", green="41", blue="51", alpha="255")
    SubElement(node, "BackgroundColor", red="255", green="255", blue="255", alpha="255")
    return node


def _font(points: float, weight: int) -> str:
    """A font in the format of QFont::toString of Qt 5, which Qt 6 reads too."""
    return f"{FONT},{points:.3g},-1,5,{weight},0,0,0,0,0"


def _round(length: float) -> float:
    """The largest number that is 1, 2 or 5 times a power of ten and not larger than a length."""
    power = 10.0 ** math.floor(math.log10(length))
    return power * max(step for step in (1, 2, 5) if step * power <= length)


def _credits(contents: Contents, crs: pyproj.CRS) -> str:
    """Producer, models, software, date and CRS in one line."""
    record = contents.record
    parts = [contents.description.credits, *map(model_name, contents.models)]
    if record is not None:
        parts += [f"geoseg {record.versions.get('geoseg', '')}".strip(), record.finished[:10]]
    return "  |  ".join(filter(None, [*parts, crs.name]))
