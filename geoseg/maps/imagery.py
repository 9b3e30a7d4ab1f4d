"""The image under a map: the scene's file, or a VRT that joins three single-band files."""

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
from geoseg.layout import ARRANGED_IMAGERY
from geoseg.raster import FileSource
from geoseg.raster.drivers import SUFFIXES
from geoseg.render import true_colour

logger = logging.getLogger(__name__)
GDAL_TYPES = {
    "uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32",
    "int32": "Int32", "float32": "Float32", "float64": "Float64",
}  # fmt: skip
"""Names of GDAL's GDALDataType by NumPy dtype."""
COLOURS = ("Red", "Green", "Blue")


def open_imagery(folder: Path, record: Record | None, given: Path | None) -> FileSource | None:
    """Open the image that lies under a map.

    A scene that is one file per band, as Sentinel-2 products are, is joined in a VRT: QGIS shows
    colours of one raster only.

    Args:
        folder: the map directory, where imagery.vrt goes.
        record: the run that made the map; its inputs name the scene.
        given: the image to take instead.

    Returns:
        The image; None, and a line in the log, where the scene is gone or cannot be shown.

    Raises:
        RasterError: the given image cannot be read.
    """
    if given is not None:
        return _open(given)
    try:
        sources = [_open(path) for path in _scene_paths(record)]
    except (GeosegError, OSError) as error:
        logger.info("the project is without imagery: %s", error)
        return None
    if len(sources) != len(COLOURS) or record is None:
        return sources[0] if sources else None
    joined = write_vrt(folder, sources, record.options.get("nodata"))
    return FileSource(joined) if joined else None


def write_vrt(folder: Path, sources: Sequence[FileSource], nodata: float | None) -> Path | None:
    """Join red, green and blue in a VRT on the finest of their grids.

    Args:
        folder: where imagery.vrt goes; paths in it are relative to this folder.
        sources: single-band rasters in the order red, green, blue.
        nodata: no-data value of files that state none.

    Returns:
        The VRT; None where the rasters differ in CRS, are rotated, or have a type without a
        GDAL name.
    """
    finest = min((each.geobox for each in sources), key=lambda box: abs(box.affine.determinant))
    # SrcRect and DstRect can shift and scale a band, not turn or reproject it.
    plain = all(
        each.geobox.crs == finest.crs
        and each.geobox.affine.is_rectilinear
        and str(each.dtype) in GDAL_TYPES
        for each in sources
    )
    if not plain:
        logger.info(
            "the project is without imagery: its bands differ in CRS or type, or are rotated"
        )
        return None
    bands = "".join(
        _band(number, each, finest.affine, folder, nodata)
        for number, each in enumerate(sources, start=1)
    )
    height, width = finest.shape
    transform = ", ".join(repr(float(value)) for value in finest.affine.to_gdal())
    path = folder / ARRANGED_IMAGERY
    files.write_bytes(
        path,
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">'
        f"<SRS>{escape(grid.crs_of(finest).to_wkt())}</SRS>"
        f"<GeoTransform>{transform}</GeoTransform>{bands}</VRTDataset>\n".encode(),
    )
    return path


def _scene_paths(record: Record | None) -> list[Path]:
    """The scene's one raster, or its files of red, green and blue; empty where it is neither.

    A record lists a VRT's sources after the VRT, so the first raster is the scene there too.
    """
    if record is None or record.step != "predict":
        return []
    paths = [Path(each["path"]) for each in record.inputs if each.get("role", "scene") == "scene"]
    rasters = [path for path in paths if path.suffix.lower() in SUFFIXES]
    bands = record.options.get("scene") or []
    if len(rasters) == 1 or (rasters and rasters[0].suffix.lower() == ".vrt"):
        return rasters[:1]
    if len(rasters) == len(bands):
        return [rasters[position] for position in true_colour(bands)]
    return []


def _open(path: Path) -> FileSource:
    """Open a raster now: a FileSource alone opens its file only when it is first used."""
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
        f'<VRTRasterBand dataType="{GDAL_TYPES[str(source.dtype)]}" band="{number}">'
        f"<Description>{escape(source.path.stem)}</Description>"
        + ("" if empty is None else f"<NoDataValue>{empty!r}</NoDataValue>")
        + f"<ColorInterp>{COLOURS[number - 1]}</ColorInterp><SimpleSource>"
        f'<SourceFilename relativeToVRT="1">{escape(name)}</SourceFilename>'
        f"<SourceBand>1</SourceBand>"
        f'<SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{height}"/>'
        f'<DstRect xOff="{left!r}" yOff="{top!r}" xSize="{right - left!r}"'
        f' ySize="{bottom - top!r}"/></SimpleSource></VRTRasterBand>'
    )
