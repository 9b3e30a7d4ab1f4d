"""A raster file as a source: one handle per thread, opened late, never pickled."""

from __future__ import annotations

import atexit
import threading
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from odc.geo import CRS
from odc.geo.geobox import GeoBox
from pyproj.exceptions import CRSError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError

from geoseg import grid
from geoseg.errors import RasterError, UnsafeError
from geoseg.grid import Window
from geoseg.raster.block import Band, Block, Mask, paste, validity
from geoseg.raster.drivers import driver_of, require_local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rasterio.io import DatasetReader

OPAQUE = 128
"""Alpha at and above this is a measurement; drone mosaics feather theirs along cutlines.

Integer alpha is compared as it is: 16-bit scenes are found with alpha of 0 and 255 too.
"""
HANDLES_PER_THREAD = 32
MAX_BLOCK_BYTES = 256 << 20
MAX_BANDS = 512
COLOURS = ("red", "green", "blue", "nir", "rededge", "swir", "coastal", "pan")


@dataclass(frozen=True)
class FileSource:
    """A local raster file.

    Attributes:
        path: the file.
        crs: a CRS to use instead of the file's own (which may have none).
        nodata: a nodata value to use instead of the file's own.
        alpha: number of a band to use as alpha, where the file declares none.
        select: 1-based band numbers to read; all but alpha when empty.
        names: band names to use instead of the file's own.
    """

    path: Path
    crs: str | None = None
    nodata: float | None = None
    alpha: int | None = None
    select: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The path as given."""
        return str(self.path)

    @cached_property
    def _facts(self) -> _Facts:
        with _dataset(self.path) as dataset:
            return _facts(self, dataset)

    @property
    def geobox(self) -> GeoBox:
        """The grid of the file."""
        return self._facts.geobox

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands read, without alpha."""
        return self._facts.bands

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the pixels."""
        return self._facts.dtype

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file, what a VRT arranges, and sidecars that say something about it."""
        return self._facts.paths

    def take(self, positions: tuple[int, ...]) -> FileSource:
        """The same file with only these bands."""
        facts = self._facts
        names = tuple(facts.bands[p].name for p in positions)
        return replace(self, select=tuple(facts.indexes[p] for p in positions), names=names)

    def read(self, window: Window) -> Block:
        """Read a window; what lies outside the file is not valid.

        Raises:
            RasterError: a block of the file cannot be decoded; names file and window.
        """
        facts = self._facts
        at = window.intersect(grid.whole(facts.geobox.shape))
        if at is None:
            return paste(None, window, self, window)
        with _dataset(self.path) as dataset:
            try:
                pixels = dataset.read(list(facts.indexes), window=_rasterio(at))
                valid = _valid(dataset, facts, pixels, at)
            except RasterioError as error:
                raise RasterError(
                    f"rows {at.row}-{at.stop[0]}, columns {at.col}-{at.stop[1]} cannot be decoded",
                    where=self.path,
                    got=_root_cause(error),
                    fix="fetch the file again",
                ) from error
        return paste(Block(pixels, valid, grid.crop(facts.geobox, at)), window, self, at)


@dataclass(frozen=True)
class _Facts:
    geobox: GeoBox
    bands: tuple[Band, ...]
    indexes: tuple[int, ...]
    dtype: np.dtype[Any]
    alpha: int | None
    masked: bool
    paths: tuple[Path, ...]


def _facts(source: FileSource, dataset: DatasetReader) -> _Facts:
    _check(source, dataset)
    alpha = _alpha(source, dataset)
    indexes = source.select or tuple(i for i in dataset.indexes if i != alpha)
    names = source.names or tuple(_band_name(dataset, i) for i in indexes)
    nodata = (_nodata(source, dataset, i) for i in indexes)
    bands = tuple(Band(*each) for each in zip(names, nodata, strict=True))
    dtype = np.result_type(*(np.dtype(dataset.dtypes[i - 1]) for i in indexes))
    geobox = GeoBox(dataset.shape, dataset.transform, _crs(source, dataset))
    paths = (source.path, *(Path(name) for name in dataset.files[1:]))
    masked = any(MaskFlags.per_dataset in flags for flags in dataset.mask_flag_enums)
    return _Facts(geobox, bands, indexes, dtype, alpha, masked and alpha is None, paths)


def _check(source: FileSource, dataset: DatasetReader) -> None:
    where = source.path
    if any(kind.startswith("complex") for kind in dataset.dtypes):
        raise RasterError("has complex pixels", where=where, fix="write amplitudes first")
    if dataset.count > MAX_BANDS:
        raise RasterError("has too many bands", where=where, got=dataset.count, wanted=MAX_BANDS)
    if len(set(dataset.dtypes)) > 1:
        raise RasterError("its bands differ in dtype", where=where, got=", ".join(dataset.dtypes))
    if dataset.tags(ns="OVERVIEWS"):
        raise UnsafeError("names overviews in another file", where=where, fix="gdal_translate it")
    height, width = dataset.block_shapes[0]
    size = height * width * np.dtype(dataset.dtypes[0]).itemsize
    if size > MAX_BLOCK_BYTES:
        raise RasterError(
            "its blocks are too large to decode",
            where=where,
            got=f"{height} x {width} px",
            wanted=f"at most {MAX_BLOCK_BYTES >> 20} MiB",
            fix="gdal_translate -co TILED=YES",
        )
    if dataset.transform.is_identity:
        kind = "ground control points" if dataset.gcps[0] else "RPCs" if dataset.rpcs else None
        raise RasterError(
            "has no geotransform",
            where=where,
            got=f"{kind} instead" if kind else None,
            fix="gdalwarp it to a grid" if kind else "georeference it: gdal_edit -a_ullr",
        )


def _crs(source: FileSource, dataset: DatasetReader) -> CRS:
    if not (source.crs or dataset.crs):
        raise RasterError("has no CRS", where=source.path, fix="name it: --crs EPSG:32633")
    try:
        return CRS(source.crs or dataset.crs.to_wkt())
    except CRSError as error:
        raise RasterError(
            "the CRS is not known",
            where=source.path,
            got=source.crs or dataset.crs,
            wanted="an EPSG code such as EPSG:32633",
        ) from error


def _alpha(source: FileSource, dataset: DatasetReader) -> int | None:
    if source.alpha is not None and (source.alpha > dataset.count or dataset.count == 1):
        raise RasterError(
            f"has no band {source.alpha} to spare as alpha",
            where=source.path,
            got=f"{dataset.count} band(s)",
            fix="leave out --alpha",
        )
    if source.alpha is None and ColorInterp.alpha in dataset.colorinterp and dataset.count > 1:
        return int(dataset.colorinterp.index(ColorInterp.alpha)) + 1
    return source.alpha


def _band_name(dataset: DatasetReader, index: int) -> str:
    described = dataset.descriptions[index - 1]
    colour = dataset.colorinterp[index - 1].name
    return described or (colour if colour in COLOURS else f"b{index}")


def _nodata(source: FileSource, dataset: DatasetReader, index: int) -> float | None:
    value = dataset.nodatavals[index - 1] if source.nodata is None else source.nodata
    return None if value is None or np.isnan(value) else float(value)


def _valid(dataset: DatasetReader, facts: _Facts, pixels: Any, at: Window) -> Mask:
    valid = validity(pixels, tuple(band.nodata for band in facts.bands))
    if facts.alpha is not None:
        alpha = dataset.read(facts.alpha, window=_rasterio(at))
        valid &= alpha >= (OPAQUE if alpha.dtype.kind in "ui" else 0.5)
    if facts.masked:
        valid &= dataset.dataset_mask(window=_rasterio(at)) > 0
    return valid


def _rasterio(window: Window) -> rasterio.windows.Window:
    return rasterio.windows.Window(window.col, window.row, window.width, window.height)


def _root_cause(error: BaseException) -> str:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(error)


_local = threading.local()
atexit.register(_local.__dict__.clear)  # handles closed later than this complain on stderr


@contextmanager
def _dataset(path: Path) -> Iterator[DatasetReader]:
    """The thread's own handle: one handle shared by threads returns wrong pixels in silence."""
    handles: OrderedDict[tuple[str, int, int, int], DatasetReader] = _local.__dict__.setdefault(
        "handles", OrderedDict()
    )
    require_local(path)
    try:
        stat = path.stat()
        key = (str(path), stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if key not in handles:  # absolute: rasterio takes gs:x.tif for a place on the network
            handles[key] = rasterio.open(path.absolute(), driver=driver_of(path))
    except OSError as error:
        raise RasterError("cannot be opened", where=path, got=_root_cause(error)) from error
    handles.move_to_end(key)
    while len(handles) > HANDLES_PER_THREAD:
        handles.popitem(last=False)[1].close()
    yield handles[key]
