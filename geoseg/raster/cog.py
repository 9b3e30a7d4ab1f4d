"""Join the parts of a map into one Cloud Optimized GeoTIFF (COG), and check it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from geoseg import files, grid
from geoseg.errors import RetryError
from geoseg.grid import Window
from geoseg.layout import gdal_sidecar

BLOCK = 512
"""Side of the blocks of every raster geoseg writes, GDAL's default for COGs; regions are aligned
to it, so that no two parts share a block."""
LEVEL = "3"
"""Of deflate: takes half the time of the default 6, and class maps become a fifth larger."""


@dataclass(frozen=True)
class CogSettings:
    """The overviews, colours and metadata of a raster.

    Attributes:
        overviews: how they are resampled: "MODE" for classes, "AVERAGE" for measurements.
        colours: red, green, blue and opacity by pixel value, for a colour table; none if empty.
        tags: metadata of the file.
    """

    overviews: Literal["MODE", "AVERAGE"]
    colours: Mapping[int, tuple[int, int, int, int]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def encode_part(values: NDArray[np.uint8], geobox: GeoBox) -> bytes:
    """Encode a part of a map as a tiled GeoTIFF.

    Args:
        values: (bands, height, width).
        geobox: the grid of the part.

    Returns:
        The bytes of the file.
    """
    profile = _profile(geobox) | {"count": len(values)}
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(values)
        return bytes(memory.getbuffer())


def write_vrt(
    path: Path,
    parts: Mapping[Window, Path],
    geobox: GeoBox,
    bands: Mapping[int, str],
    settings: CogSettings,
) -> None:
    """Write a VRT over bands of the parts; QGIS can open it while the run goes on.

    Args:
        path: the VRT; it names the parts relative to itself.
        parts: the file of each window; pixels in none of them are nodata.
        geobox: the grid of the whole map.
        bands: the bands of the parts to take, counted from 1, with their names.
        settings: colours and tags.
    """
    height, width = geobox.shape
    transform = ", ".join(repr(float(value)) for value in geobox.affine.to_gdal())
    described = "".join(
        f'<VRTRasterBand dataType="Byte" band="{number}" blockXSize="{BLOCK}" blockYSize="{BLOCK}">'
        f"<Description>{escape(name)}</Description><NoDataValue>255</NoDataValue>"
        f"{_vrt_colours(settings)}"
        f"{''.join(_vrt_source(path, part, at, band) for at, part in parts.items())}"
        "</VRTRasterBand>"
        for number, (band, name) in enumerate(bands.items(), start=1)
    )
    files.write_bytes(
        path,
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">'
        f"<SRS>{escape(grid.crs_of(geobox).to_wkt())}</SRS><GeoTransform>{transform}</GeoTransform>"
        f"<Metadata>{_vrt_tags(settings)}</Metadata>{described}</VRTDataset>".encode(),
    )


def write_cog(vrt: Path, final: Path, settings: CogSettings) -> None:
    """Write the COG of a VRT under a temporary name, compare its pixels, and rename it.

    The same pixels give the same bytes.

    Args:
        vrt: the VRT over all parts.
        final: the COG.
        settings: how overviews are resampled; colours and tags come from the VRT.

    Raises:
        RetryError: a part cannot be read, the disk is full, or the pixels on the disk differ from
            those that were written.
    """
    with files.whole(final) as temporary:
        options = {"OVERVIEW_RESAMPLING": settings.overviews, "BLOCKSIZE": str(BLOCK)}
        try:
            rasterio.shutil.copy(
                vrt, temporary, driver="COG", COMPRESS="DEFLATE", LEVEL=LEVEL,
                BIGTIFF="IF_SAFER", NUM_THREADS="ALL_CPUS", **options,
            )  # fmt: skip
            # GDAL may write a sidecar beside the temporary file, which nobody would rename.
            files.remove(gdal_sidecar(temporary))
            _compare(vrt, temporary, final)
        except (CPLE_BaseError, RasterioError) as error:  # copy does not wrap GDAL's errors
            raise RetryError(
                "cannot be joined from its parts",
                where=final,
                got=error,
                fix="check free space and the disk, then run the same command again",
            ) from error


def _compare(vrt: Path, written: Path, final: Path) -> None:
    """Read everything back: GDAL does not report every failed write, such as on a full disk."""
    with rasterio.open(vrt) as wanted, rasterio.open(written, driver="GTiff") as got:
        for window in grid.split(grid.whole(wanted.shape), 4 * BLOCK):
            at = rasterio.windows.Window(window.col, window.row, window.width, window.height)
            if not np.array_equal(wanted.read(window=at), got.read(window=at)):
                raise RetryError(
                    "the file on the disk differs from what was written",
                    where=final,
                    got=f"other pixels in rows {window.row}-{window.stop[0]}",
                    fix="check free space and the disk, then run the same command again",
                )


def _profile(geobox: GeoBox) -> dict[str, Any]:
    height, width = geobox.shape
    return {
        "driver": "GTiff", "height": height, "width": width, "dtype": "uint8", "nodata": 255,
        "crs": grid.crs_of(geobox).to_wkt(), "transform": geobox.affine,
        "compress": "zstd", "zstd_level": 1,
        "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "band",
    }  # fmt: skip


def _vrt_source(vrt: Path, part: Path, window: Window, band: int) -> str:
    size = f'xSize="{window.width}" ySize="{window.height}"'
    return (
        f'<SimpleSource><SourceFilename relativeToVRT="1">{escape(_relative(part, vrt))}'
        f"</SourceFilename><SourceBand>{band}</SourceBand>"
        f'<SrcRect xOff="0" yOff="0" {size}/>'
        f'<DstRect xOff="{window.col}" yOff="{window.row}" {size}/></SimpleSource>'
    )


def _relative(part: Path, vrt: Path) -> str:
    return part.relative_to(vrt.parent).as_posix()


def _vrt_tags(settings: CogSettings) -> str:
    return "".join(
        f"<MDI key={quoteattr(key)}>{escape(value)}</MDI>" for key, value in settings.tags.items()
    )


def _vrt_colours(settings: CogSettings) -> str:
    if not settings.colours:
        return "<ColorInterp>Gray</ColorInterp>"
    nothing = (0, 0, 0, 0)
    rows: Sequence[tuple[int, ...]] = [settings.colours.get(i, nothing) for i in range(256)]
    entries = "".join(f'<Entry c1="{r}" c2="{g}" c3="{b}" c4="{a}"/>' for r, g, b, a in rows)
    return f"<ColorInterp>Palette</ColorInterp><ColorTable>{entries}</ColorTable>"
