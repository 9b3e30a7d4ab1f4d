"""Styles for map servers: OGC Styled Layer Descriptors (SLD)."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from geoseg.classes import ClassScheme, LandClass
from geoseg.style.qml import COLUMN, CONFIDENCE_RAMP

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def raster_sld(scheme: ClassScheme, layer: str) -> str:
    """A style for a class raster, for GeoServer: SLD 1.0 with a colour per value.

    Args:
        scheme: the classes; ids are the pixel values.
        layer: the layer's name on the server.
    """
    entries = (
        _entry(i, each.color, each.name, f"{each.rgba[3] / 255:.3g}")
        for i, each in enumerate(scheme.classes)
    )
    return _raster(layer, "values", entries)


def confidence_sld(layer: str) -> str:
    """A style for a raster of 0 to 100 percent, dark where confidence is low.

    Args:
        layer: the layer's name on the server.
    """
    entries = (_entry(value, color, f"{value} %", "1") for value, color in CONFIDENCE_RAMP)
    return _raster(layer, "ramp", entries)


def polygons_sld(scheme: ClassScheme, layer: str) -> str:
    """A style for polygons with a rule per ``class_id``: SLD 1.1, which QGIS reads too.

    Args:
        scheme: the classes.
        layer: the layer's name on the server.
    """
    rules = "".join(_rule(i, each) for i, each in enumerate(scheme.classes))
    name = escape(layer)
    return (
        f'{HEAD}<StyledLayerDescriptor version="1.1.0" xmlns="http://www.opengis.net/sld"'
        ' xmlns:se="http://www.opengis.net/se" xmlns:ogc="http://www.opengis.net/ogc">'
        f"<NamedLayer><se:Name>{name}</se:Name><UserStyle><se:Name>{name}</se:Name>"
        f"<se:FeatureTypeStyle>{rules}</se:FeatureTypeStyle></UserStyle></NamedLayer>"
        "</StyledLayerDescriptor>\n"
    )


def _raster(layer: str, kind: str, entries: Iterable[str]) -> str:
    name = escape(layer)
    return (
        f'{HEAD}<StyledLayerDescriptor version="1.0.0" xmlns="http://www.opengis.net/sld">'
        f"<NamedLayer><Name>{name}</Name><UserStyle><Name>{name}</Name><FeatureTypeStyle><Rule>"
        f'<RasterSymbolizer><ColorMap type="{kind}">{"".join(entries)}</ColorMap>'
        "</RasterSymbolizer></Rule></FeatureTypeStyle></UserStyle></NamedLayer>"
        "</StyledLayerDescriptor>\n"
    )


def _entry(value: int, color: str, label: str, opacity: str) -> str:
    return (
        f'<ColorMapEntry quantity="{value}" color="{color[:7]}" opacity="{opacity}"'
        f" label={quoteattr(label)}/>"
    )


def _rule(index: int, each: LandClass) -> str:
    parameters = {"fill": each.color[:7], "fill-opacity": f"{each.rgba[3] / 255:.3g}"}
    fill = "".join(
        f'<se:SvgParameter name="{name}">{value}</se:SvgParameter>'
        for name, value in parameters.items()
    )
    return (
        f"<se:Rule><se:Name>{escape(each.name)}</se:Name><ogc:Filter><ogc:PropertyIsEqualTo>"
        f"<ogc:PropertyName>{COLUMN}</ogc:PropertyName><ogc:Literal>{index}</ogc:Literal>"
        "</ogc:PropertyIsEqualTo></ogc:Filter>"
        f"<se:PolygonSymbolizer><se:Fill>{fill}</se:Fill></se:PolygonSymbolizer></se:Rule>"
    )
