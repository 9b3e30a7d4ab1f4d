"""QGIS styles (QML), for files beside the data, GeoPackages and projects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from geoseg.classes import EVERY, ClassScheme, LandClass

OPENING = '<qgis version="3.34.0" styleCategories="Symbology">'
"""How geoseg's styles begin; those that QGIS saves begin with a document type."""
COLUMN = "class_id"
"""The attribute of geoseg's polygons that holds the class id."""
OUTLINE = "35,35,35,255"
"""The colour of outlines that QGIS gives new layers."""
CONFIDENCE_RAMP = (
    (0, "#5b1a6b"),
    (25, "#b04a7a"),
    (50, "#e58f6f"),
    (75, "#f7cf9b"),
    (100, "#fffbe9"),
)
"""Colours by percent of confidence: low confidence is dark, and stands out."""


def is_written_here(path: Path) -> bool:
    """Whether geoseg wrote a .qml file, and not QGIS for somebody who saved a style."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        return stream.read(len(OPENING)) == OPENING


def polygons_qml(scheme: ClassScheme) -> str:
    """A QGIS style for polygons: a fill per ``class_id``, with the names and colours of classes.

    Example:
        >>> scheme = ClassScheme(classes=({"name": "water", "color": "#2b83ba"},))
        >>> 'value="43,131,186,255"' in polygons_qml(scheme)
        True
    """
    categories = "".join(
        f'<category value="{i}" type="long" symbol="{i}" label={quoteattr(each.name)}'
        ' render="true"/>'
        for i, each in enumerate(scheme.classes)
    )
    symbols = "".join(_symbol(i, each.rgba) for i, each in enumerate(scheme.classes))
    return _polygons(
        f'type="categorizedSymbol" attr="{COLUMN}"',
        f"<categories>{categories}</categories><symbols>{symbols}</symbols>",
    )


def raster_qml(scheme: ClassScheme) -> str:
    """A QGIS style for a class raster: a named colour per class; other values are transparent.

    Example:
        >>> scheme = ClassScheme(classes=({"name": "water", "color": "#2b83ba"},))
        >>> 'alpha="255" label="water"/>' in raster_qml(scheme)
        True
    """
    entries = "".join(
        f'<paletteEntry value="{i}" color="{each.color[:7]}" alpha="{each.rgba[3]}"'
        f" label={quoteattr(each.name)}/>"
        for i, each in enumerate(scheme.classes)
    )
    return _raster('type="paletted" band="1"', f"<colorPalette>{entries}</colorPalette>")


def confidence_qml() -> str:
    """A QGIS style for a raster of 0 to 100 percent, dark where confidence is low."""
    items = "".join(
        f'<item value="{percent}" label="{percent} %" color="{color}" alpha="255"/>'
        for percent, color in CONFIDENCE_RAMP
    )
    return _raster(
        'type="singlebandpseudocolor" band="1" classificationMin="0" classificationMax="100"',
        '<rastershader><colorrampshader colorRampType="INTERPOLATED" classificationMode="1"'
        f' clip="0" minimumValue="0" maximumValue="100">{items}</colorrampshader></rastershader>',
    )


def imagery_qml(bands: tuple[int, int, int], ranges: Sequence[tuple[float, float]]) -> str:
    """A QGIS style for an image in true colour.

    Args:
        bands: band numbers of red, green and blue, from 1.
        ranges: values of black and of full brightness, for each of the three.
    """
    names = ("red", "green", "blue")
    shown = " ".join(f'{name}Band="{band}"' for name, band in zip(names, bands, strict=True))
    stretched = "".join(
        f"<{name}ContrastEnhancement><minValue>{low:g}</minValue><maxValue>{high:g}</maxValue>"
        f"<algorithm>StretchToMinimumMaximum</algorithm></{name}ContrastEnhancement>"
        for name, (low, high) in zip(names, ranges, strict=True)
    )
    return _raster(f'type="multibandcolor" {shown}', stretched)


def labels_qml(scheme: ClassScheme, column: str) -> str:
    """A QGIS style for labels: outlines in the colours of the classes.

    Args:
        scheme: the classes, with their label codes.
        column: attribute with the label codes.
    """
    categories = "".join(
        f'<category type="List" symbol="{i}" label={quoteattr(each.name)} render="true">'
        f"{_codes(each, i)}</category>"
        if EVERY not in each.values
        else f'<category type="NULL" value="" symbol="{i}" label={quoteattr(each.name)}'
        ' render="true"/>'
        for i, each in enumerate(scheme.classes)
    )
    symbols = "".join(_outline(i, each.rgba) for i, each in enumerate(scheme.classes))
    return _polygons(
        f'type="categorizedSymbol" attr={quoteattr(column)}',
        f"<categories>{categories}</categories><symbols>{symbols}</symbols>",
    )


def outlines_qml() -> str:
    """A QGIS style for polygons without classes: white outlines."""
    symbol = _outline(0, (255, 255, 255, 255))
    return _polygons('type="singleSymbol"', f"<symbols>{symbol}</symbols>")


def _codes(each: LandClass, index: int) -> str:
    """QML values for the label codes of a class: its values, else its name and id."""
    kinds = {int: "long", float: "double", str: "QString"}
    return "".join(
        f'<val type="{kinds[type(code)]}" value={quoteattr(str(code))}/>'
        for code in each.values or (each.name, index)
    )


def _polygons(renderer: str, content: str) -> str:
    return (
        f'{OPENING}<renderer-v2 {renderer} symbollevels="0" forceraster="0" enableorderby="0">'
        f"{content}"
        "</renderer-v2><blendMode>0</blendMode><featureBlendMode>0</featureBlendMode>"
        "<layerGeometryType>2</layerGeometryType></qgis>\n"
    )


def _raster(renderer: str, content: str) -> str:
    return (
        f"{OPENING}<pipe><provider><resampling"
        ' enabled="false" zoomedInResamplingMethod="nearestNeighbour"'
        ' zoomedOutResamplingMethod="nearestNeighbour" maxOversampling="2"/></provider>'
        f'<rasterrenderer {renderer} opacity="1" alphaBand="-1" nodataColor="">{content}'
        "<rasterTransparency/></rasterrenderer></pipe><blendMode>0</blendMode></qgis>\n"
    )


def _symbol(index: int, rgba: tuple[int, int, int, int]) -> str:
    return _fill(
        index,
        {
            "color": ",".join(map(str, rgba)),
            "outline_color": OUTLINE,
            "outline_style": "solid" if rgba[3] else "no",
            "outline_width": "0.06",
            "style": "solid",
        },
    )


def _outline(index: int, rgba: tuple[int, int, int, int]) -> str:
    return _fill(
        index,
        {
            "color": ",".join(map(str, rgba)),
            "outline_color": ",".join(map(str, rgba)),
            "outline_style": "solid",
            "outline_width": "0.4",
            "style": "no",
        },
    )


def _fill(index: int, properties: Mapping[str, str]) -> str:
    options = "".join(
        f'<Option name="{name}" type="QString" value="{value}"/>'
        for name, value in {**properties, "outline_width_unit": "MM"}.items()
    )
    return (
        f'<symbol name="{index}" type="fill" alpha="1" clip_to_extent="1" force_rhr="0">'
        '<layer class="SimpleFill" enabled="1" locked="0" pass="0">'
        f'<Option type="Map">{options}</Option></layer></symbol>'
    )
