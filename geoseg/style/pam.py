"""GDAL's .aux.xml beside a class raster: class names and a raster attribute table."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

from geoseg.classes import ClassScheme

VALUE, PIXELS, NAME, RED, GREEN, BLUE, ALPHA = 5, 1, 2, 6, 7, 8, 9
"""Usages of columns of a raster attribute table, from GDALRATFieldUsage of GDAL."""
INTEGER, TEXT = 0, 2
"""Types of columns, from GDALRATFieldType of GDAL."""


def raster_pam(scheme: ClassScheme, counts: Mapping[int, int] | None = None) -> str:
    """The content of ``<file>.tif.aux.xml``: class names and a raster attribute table.

    GDAL finds it beside the file; QGIS makes a legend of it.

    Args:
        scheme: the classes; ids are the pixel values.
        counts: pixels by class id, for the column Count; None for a table without it.

    Example:
        >>> scheme = ClassScheme(classes=({"name": "water", "color": "#2b83ba"},))
        >>> "<Category>water</Category>" in raster_pam(scheme)
        True
    """
    fields = [("Value", INTEGER, VALUE), ("Name", TEXT, NAME)]
    fields += [("Red", INTEGER, RED), ("Green", INTEGER, GREEN), ("Blue", INTEGER, BLUE)]
    rows: list[list[object]] = [
        [i, each.name, *each.rgba[:3]] for i, each in enumerate(scheme.classes)
    ]
    if counts is not None:
        fields.insert(1, ("Count", INTEGER, PIXELS))
        for i, row in enumerate(rows):
            row.insert(1, counts.get(i, 0))
    return (
        '<PAMDataset><PAMRasterBand band="1"><CategoryNames>'
        + "".join(f"<Category>{escape(each.name)}</Category>" for each in scheme.classes)
        + '</CategoryNames><GDALRasterAttributeTable tableType="thematic">'
        + "".join(
            f'<FieldDefn index="{i}"><Name>{name}</Name><Type>{kind}</Type><Usage>{usage}</Usage>'
            "</FieldDefn>"
            for i, (name, kind, usage) in enumerate(fields)
        )
        + "".join(
            f'<Row index="{i}">{"".join(f"<F>{escape(str(cell))}</F>" for cell in row)}</Row>'
            for i, row in enumerate(rows)
        )
        + "</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>\n"
    )
