"""The scene below a map: its file, or a VRT that brings three bands in several files together."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from affine import Affine

from geoseg import files, grid
from geoseg.errors import GeosegError
from geoseg.job import Record
from geoseg.raster import FileSource
from geoseg.raster.drivers import SUFFIXES
from geoseg.render import true_colour

logger = logging.getLogger(__name__)
ARRANGED = "imagery.vrt"
TYPES = {
    "uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32",
    "int32": "Int32", "float32": "Float32", "float64": "Float64",
}  # fmt: skip
"""What GDAL calls the types of pixels."""
COLOURS = ("Red", "Green", "Blue")


def imagery_of(record: Record | None, given: Path | None) -> tuple[FileSource, ...]:
    """The raster that was mapped, or the files of its red, green and blue; empty without any.

    Raises:
        RasterError: the raster that was given cannot be read.
    """
    if given is not None:
        return (_placed(given),)
    try:
        return tuple(map(_placed, _scene(record)))
    except (GeosegError, OSError) as error:
        logger.info("the project is without imagery: %s", error)
        return ()


def write_arranged(
    folder: Path, sources: Sequence[FileSource], nodata: float | None
) -> Path | None:
    """Write a VRT of red, green and blue on the finest grid of the three.

    Args:
        folder: where imagery.vrt goes.
        sources: rasters of one band.
        nodata: what the files do not say.

    Returns:
        The VRT; None where the files lie in different CRSs, are turned, or are of other types.
    """
    finest = min((each.geobox for each in sources), key=lambda box: abs(box.affine.determinant))
    plain = all(
        each.geobox.crs == finest.crs
        and each.geobox.affine.is_rectilinear
        and str(each.dtype) in TYPES
        for each in sources
    )
    if not plain:
        logger.info("the project is without imagery: its bands do not lie on like grids")
        return None
    bands = "".join(
        _band(number, each, finest.affine, folder, nodata)
        for number, each in enumerate(sources, start=1)
    )
    height, width = finest.shape
    transform = ", ".join(repr(float(value)) for value in finest.affine.to_gdal())
    path = folder / ARRANGED
    files.write_bytes(
        path,
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">'
        f"<SRS>{escape(grid.crs_of(finest).to_wkt())}</SRS>"
        f"<GeoTransform>{transform}</GeoTransform>{bands}</VRTDataset>\n".encode(),
    )
    return path


def _scene(record: Record | None) -> list[Path]:
    """The rasters that the record names, if they are one file or one for each band."""
    if record is None or record.step != "predict":
        return []
    paths = [Path(each["path"]) for each in record.inputs]
    found = [path for path in paths if path.suffix.lower() in SUFFIXES]
    names = record.options.get("scene") or []
    if len(found) == len(names) and len(found) > 1:
        return [found[position] for position in true_colour(names)]
    whole = len(found) == 1 or (found and found[0].suffix.lower() == ".vrt")
    return found[:1] if whole else []


def _placed(path: Path) -> FileSource:
    """A raster that can be opened and lies somewhere."""
    source = FileSource(path)
    assert source.bands, "a raster has bands, or cannot be opened"
    return source


def _band(
    number: int, source: FileSource, finest: Affine, folder: Path, nodata: float | None
) -> str:
    assert isinstance(source.path, Path), "records name files of this machine"
    height, width = source.geobox.shape
    left, top = ~finest @ (source.geobox.affine @ (0, 0))
    right, bottom = ~finest @ (source.geobox.affine @ (width, height))
    empty = source.bands[0].nodata if nodata is None else nodata
    name = Path(os.path.relpath(source.path.resolve(), folder.resolve())).as_posix()
    return (
        f'<VRTRasterBand dataType="{TYPES[str(source.dtype)]}" band="{number}">'
        f"<Description>{escape(source.path.stem)}</Description>"
        + ("" if empty is None else f"<NoDataValue>{empty!r}</NoDataValue>")
        + f"<ColorInterp>{COLOURS[number - 1]}</ColorInterp><SimpleSource>"
        f'<SourceFilename relativeToVRT="1">{escape(name)}</SourceFilename>'
        f"<SourceBand>1</SourceBand>"
        f'<SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{height}"/>'
        f'<DstRect xOff="{left!r}" yOff="{top!r}" xSize="{right - left!r}"'
        f' ySize="{bottom - top!r}"/></SimpleSource></VRTRasterBand>'
    )
