"""Class schemes read from the style of a layer: QML, GeoPackage or GeoTIFF."""

from __future__ import annotations

import colorsys
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from geoseg.classes import IGNORE, ClassScheme, load_yaml, parse
from geoseg.errors import ClassError
from geoseg.layout import CLASS_FILE, gdal_sidecar
from geoseg.style.pam import ALPHA, BLUE, GREEN, NAME, RED, VALUE

MAX_BYTES = 16 << 20
"""Styles are read into memory as a whole; QGIS writes a few kilobytes."""
QGIS_DOCTYPE = re.compile(r"<!DOCTYPE qgis PUBLIC '[^'<>\[\]]*' '[^'<>\[\]]*'>")


class _Entry(NamedTuple):
    value: str
    name: str
    color: str


def scheme_of(
    raster: Path, given: ClassScheme | str | Path | None = None
) -> tuple[ClassScheme, bool]:
    """Find the class scheme of a class raster.

    Args:
        raster: the class raster.
        given: a scheme or its file; when None, ``classes.yaml`` beside the raster, else the
            attribute table, class names or colours of the raster itself.

    Returns:
        The scheme, and whether pixel values are its label codes rather than its ids.

    Raises:
        ClassError: no scheme is found, or its file is broken.
        ConfigError: the YAML file is not valid YAML.
    """
    beside = raster.with_name(CLASS_FILE)
    if given is None:
        given = beside if beside.is_file() else raster
    if isinstance(given, ClassScheme):
        return given, False
    return load_scheme(Path(given)), Path(given).suffix.lower() not in (".yaml", ".yml")


def load_scheme(path: str | Path) -> ClassScheme:
    """Read a class scheme from a class file or from the style of a layer.

    Args:
        path: a YAML file; a QGIS style (.qml) of categorized polygons or of a paletted raster; a
            GeoPackage with a default style; or a GeoTIFF with an attribute table, class names or
            a colour table. The values of the style become the label codes of the classes.

    Raises:
        ClassError: the file is missing or broken, or holds no classes.
        ConfigError: the YAML file is not valid YAML.
    """
    path = Path(path)
    if not path.is_file():
        raise ClassError("there is no such class file", where=path)
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        return load_yaml(path)
    if suffix == ".qml":
        return _from_qml(_text(path), path)
    if suffix == ".gpkg":
        return _from_gpkg(path)
    if suffix in (".tif", ".tiff", ".gtif"):
        return _scheme(_raster_entries(path), None, path)
    raise ClassError(
        "is not a class file", where=path, wanted="a .yaml, .qml, .gpkg or .tif file with classes"
    )


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise ClassError("is too large for a style", where=path, wanted=f"{MAX_BYTES >> 20} MiB")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ClassError(f"is not UTF-8 at byte {error.start}", where=path) from error


def _xml(text: str, where: Path) -> ElementTree.Element:
    """Parse XML without declarations, after removing the empty DOCTYPE that QGIS writes.

    A DOCTYPE may declare entities that expand without limit or read files, so that any other is
    refused.
    """
    text = QGIS_DOCTYPE.sub("", text, count=1)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ClassError("the style declares XML entities", where=where, fix="save it from QGIS")
    try:
        return ElementTree.fromstring(text)  # noqa: S314  (no entities: checked above)
    except ElementTree.ParseError as error:
        raise ClassError("is not well-formed XML", where=where, got=error) from error


def _from_qml(text: str, where: Path) -> ClassScheme:
    root = _xml(text, where)
    renderer = root.find(".//renderer-v2[@type='categorizedSymbol']")
    raster = root.find(".//rasterrenderer[@type='paletted']")
    try:
        if renderer is not None:
            column = re.sub(r'^"([^"]*)"$', r"\1", renderer.get("attr", "")) or None
            return _scheme(list(_categories(renderer)), column, where)
        if raster is not None:
            return _scheme(list(_palette(raster)), None, where)
    except ValueError as error:
        raise ClassError("a colour of the style is broken", where=where, got=error) from error
    raise ClassError(
        "the style has no classes",
        where=where,
        wanted="a categorized polygon style, or a paletted raster style",
    )


def _categories(renderer: ElementTree.Element) -> Iterator[_Entry]:
    colours = {
        symbol.get("name"): _symbol_colour(symbol) for symbol in renderer.findall("symbols/symbol")
    }
    for category in renderer.findall("categories/category"):
        values = [val.get("value", "") for val in category.findall("val")]
        for value in values or [category.get("value", "")]:
            if value:
                label = category.get("label") or value
                yield _Entry(value, label, colours.get(category.get("symbol"), "#808080"))


def _symbol_colour(symbol: ElementTree.Element) -> str:
    found = symbol.find("layer//Option[@name='color']")
    found = symbol.find("layer/prop[@k='color']") if found is None else found
    text = "" if found is None else found.get("value") or found.get("v") or ""
    numbers = re.match(r"(\d+),(\d+),(\d+),(\d+)", text)
    if numbers is None:
        return "#808080"
    red, green, blue, alpha = (int(number) for number in numbers.groups())
    return _hex(red, green, blue, round(alpha * float(symbol.get("alpha", "1"))))


def _palette(renderer: ElementTree.Element) -> Iterator[_Entry]:
    for entry in renderer.iter("paletteEntry"):
        value = entry.get("value", "")
        red, green, blue = bytes.fromhex(entry.get("color", "#808080").lstrip("#")[:6])
        colour = _hex(red, green, blue, int(entry.get("alpha", "255")))
        yield _Entry(value, entry.get("label") or value, colour)


def _from_gpkg(path: Path) -> ClassScheme:
    query = "SELECT styleQML FROM layer_styles ORDER BY useAsDefault DESC, rowid"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute(query).fetchall()
    except sqlite3.Error as error:
        raise ClassError(
            "has no style with classes", where=path, got=error, fix="save the style in QGIS first"
        ) from error
    if not rows:
        raise ClassError("has no style with classes", where=path, got="an empty layer_styles")
    return _from_qml(str(rows[0][0]), path)


def _raster_entries(path: Path) -> list[_Entry]:
    colours = _colour_table(path)
    aux = gdal_sidecar(path)
    band = _xml(_text(aux), aux).find("PAMRasterBand[@band='1']") if aux.is_file() else None
    if band is not None:
        table = band.find("GDALRasterAttributeTable")
        entries = [] if table is None else list(_table_entries(table, colours, aux))
        entries = entries or [
            _Entry(str(i), each.text, colours.get(i, _any_colour(i)))
            for i, each in enumerate(band.findall("CategoryNames/Category"))
            if each.text
        ]
        if entries:
            return entries
    return [_Entry(str(value), f"class {value}", colour) for value, colour in colours.items()]


def _colour_table(path: Path) -> dict[int, str]:
    """Colours by pixel value, without black: TIFF pads every palette to 256 entries with it."""
    import rasterio
    from rasterio.errors import RasterioIOError

    try:
        with rasterio.open(path, driver="GTiff") as dataset:
            table, nodata = dataset.colormap(1), dataset.nodata
    except RasterioIOError as error:
        raise ClassError("cannot be read as a GeoTIFF", where=path, got=error) from error
    except ValueError:
        return {}
    return {
        v: _hex(*rgba) for v, rgba in table.items() if any(rgba[:3]) and v not in (IGNORE, nodata)
    }


def _table_entries(
    table: ElementTree.Element, colours: Mapping[int, str], where: Path
) -> Iterator[_Entry]:
    usages = [int(field.findtext("Usage", "0")) for field in table.findall("FieldDefn")]
    if VALUE not in usages or NAME not in usages:
        return
    for row in table.findall("Row"):
        cells = dict(zip(usages, (cell.text or "" for cell in row.findall("F")), strict=False))
        try:
            value = int(float(cells[VALUE]))
            rgba = [int(float(cells.get(usage, 255))) for usage in (RED, GREEN, BLUE, ALPHA)]
        except (KeyError, ValueError) as error:
            raise ClassError("its attribute table is broken", where=where, got=error) from error
        fallback = colours.get(value, _any_colour(value))
        colour = _hex(*rgba) if {RED, GREEN, BLUE} <= cells.keys() else fallback
        yield _Entry(str(value), cells.get(NAME) or str(value), colour)


def _scheme(entries: Iterable[_Entry], column: str | None, where: Path) -> ClassScheme:
    """Make classes in the order of the entries; entries of one name are one class."""
    classes: dict[str, dict[str, object]] = {}
    for value, name, colour in entries:
        known = classes.setdefault(name, {"name": name, "color": colour, "values": []})
        codes = known["values"]
        assert isinstance(codes, list), "set in the line above"
        codes.append(int(value) if re.fullmatch(r"-?\d+", value) else value)
    if not classes:
        raise ClassError(
            "names no classes", where=where, wanted="an attribute table, class names or colours"
        )
    return parse({"column": column, "classes": list(classes.values())}, where=where)


def _any_colour(value: int) -> str:
    """A colour for a class without one.

    Hues are a golden angle apart, which keeps any number of consecutive values distinct.
    """
    red, green, blue = colorsys.hsv_to_rgb(value * 0.381966 % 1, 0.6, 0.85)
    return _hex(round(red * 255), round(green * 255), round(blue * 255))


def _hex(red: int, green: int, blue: int, alpha: int = 255) -> str:
    opacity = "" if alpha == 255 else f"{alpha:02x}"
    return f"#{red:02x}{green:02x}{blue:02x}{opacity}"
