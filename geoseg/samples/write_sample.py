"""The GeoPackage of a sample: points to fill in, their mapped classes, and the strata."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

import geopandas
import numpy as np
import pandas
import pyogrio
import shapely

from geoseg import files
from geoseg.classes import ClassScheme
from geoseg.errors import OutputError
from geoseg.samples.draw import SamplePoints, Strata

SAMPLE, DRAWN, STRATA = "sample", "drawn", "strata"
GEOMETRY = "geom"


def write_sample(out: Path, points: SamplePoints, strata: Strata) -> None:
    """Write points, the class that each was drawn from, and the area of the classes.

    Raises:
        OutputError: the file cannot be written.
    """
    numbers = np.arange(1, len(points.ids) + 1)
    sample = geopandas.GeoDataFrame(
        {"point": numbers, "reference": _empty(numbers), "note": _empty(numbers)},
        geometry=shapely.points(points.x, points.y),
        crs=strata.crs,
    ).rename_geometry(GEOMETRY)
    tables = {
        DRAWN: pandas.DataFrame(
            {"point": numbers, "class_id": points.ids, "x": points.x, "y": points.y}
        ),
        STRATA: pandas.DataFrame(
            {
                "class_id": np.arange(len(strata.pixels)),
                "class_name": strata.scheme.names,
                "pixels": strata.pixels,
                "area_m2": strata.area_m2,
                "points": np.bincount(points.ids, minlength=len(strata.pixels)),
            }
        ),
        "layer_styles": _style(strata.scheme),
    }
    with files.whole(out) as temporary:
        try:
            pyogrio.write_dataframe(sample, temporary, layer=SAMPLE, driver="GPKG")
            for name, table in tables.items():
                pyogrio.write_dataframe(table, temporary, layer=name, driver="GPKG", append=True)
        except RuntimeError as error:
            raise OutputError("cannot be written", where=out, got=error) from error


def form_qml(scheme: ClassScheme) -> str:
    """A QGIS style whose form offers the class names as values of ``reference``."""
    names = "".join(
        f'<Option type="Map"><Option name={quoteattr(each)} value={quoteattr(each)}'
        ' type="QString"/></Option>'
        for each in scheme.names
    )
    return (
        '<qgis version="3.34.0" styleCategories="Symbology|Fields|Forms">'
        '<renderer-v2 type="singleSymbol" symbollevels="0" forceraster="0" enableorderby="0">'
        '<symbols><symbol name="0" type="marker" alpha="1" clip_to_extent="1" force_rhr="0">'
        '<layer class="SimpleMarker" enabled="1" locked="0" pass="0"><Option type="Map">'
        '<Option name="color" type="QString" value="255,255,255,0"/>'
        '<Option name="name" type="QString" value="cross"/>'
        '<Option name="outline_color" type="QString" value="255,0,255,255"/>'
        '<Option name="outline_width" type="QString" value="0.6"/>'
        '<Option name="size" type="QString" value="5"/>'
        "</Option></layer></symbol></symbols></renderer-v2>"
        '<fieldConfiguration><field name="reference"><editWidget type="ValueMap"><config>'
        f'<Option type="Map"><Option type="List" name="map">{names}</Option></Option>'
        "</config></editWidget></field></fieldConfiguration>"
        "<layerGeometryType>0</layerGeometryType></qgis>\n"
    )


def _empty(numbers: np.ndarray) -> pandas.Series:
    return pandas.Series([None] * len(numbers), dtype="string")


def _style(scheme: ClassScheme) -> pandas.DataFrame:
    """The default style of the layer, as a row of QGIS's table layer_styles.

    QGIS looks the row up by schema, table and geometry column, and finds none where the schema is
    NULL instead of empty. The time is fixed so that the same sample gives the same rows.
    """
    return pandas.DataFrame(
        {
            "f_table_catalog": [""],
            "f_table_schema": [""],
            "f_table_name": [SAMPLE],
            "f_geometry_column": [GEOMETRY],
            "styleName": [SAMPLE],
            "styleQML": [form_qml(scheme)],
            "styleSLD": [""],
            "useAsDefault": [True],
            "description": ["The classes to choose from"],
            "owner": [""],
            "ui": pandas.Series([None], dtype=object),
            "update_time": [pandas.Timestamp("2000-01-01T00:00:00Z")],
        }
    )
