"""A raster file as a source: handles with one user at a time, opened late, never pickled."""

from __future__ import annotations

import atexit
import threading
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from odc.geo import CRS
from odc.geo.geobox import GeoBox
from pyproj.exceptions import CRSError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError

from geoseg import grid, remote
from geoseg.errors import RasterError, UnsafeError
from geoseg.grid import Window
from geoseg.raster.block import Band, Block, Mask, Pixels, paste, validity
from geoseg.raster.drivers import driver_of, require_local
from geoseg.remote import Address, Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from rasterio.io import DatasetReader

OPAQUE = 128
"""Alpha at and above this is a measurement; drone mosaics feather theirs along cutlines.

Integer alpha is compared as it is: 16-bit scenes are found with alpha of 0 and 255 too.
"""
HANDLES = 64
"""Open files that are kept for the next window."""
MAX_BLOCK_BYTES = 256 << 20
MAX_BANDS = 512
COLOURS = ("red", "green", "blue", "nir", "rededge", "swir", "coastal", "pan")


@dataclass(frozen=True)
class FileSource:
    """A raster file, of this machine or at an address.

    Attributes:
        path: the file.
        crs: a CRS to use instead of the file's own (which may have none).
        nodata: a nodata value to use instead of the file's own.
        alpha: number of a band to use as alpha, where the file declares none.
        select: 1-based band numbers to read; all but alpha when empty.
        names: band names to use instead of the file's own.
        title: what to call it, where its path says too little.
    """

    path: Place
    crs: str | None = None
    nodata: float | None = None
    alpha: int | None = None
    select: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    title: str = ""

    @property
    def name(self) -> str:
        """The title, or the path as given."""
        return self.title or str(self.path)

    @cached_property
    def _facts(self) -> _Facts:
        try:
            return _using(self.path, partial(_facts, self))
        except RasterioError as error:
            raise _cannot_open(self.path, error) from error

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
    def tiled(self) -> bool:
        """Whether its blocks are narrower than the raster."""
        return self._facts.tiled

    @property
    def paths(self) -> tuple[Place, ...]:
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
        try:
            pixels, valid = _using(self.path, partial(_pixels, facts, at))
        except RasterioError as error:
            raise RasterError(
                f"rows {at.row}-{at.stop[0]}, columns {at.col}-{at.stop[1]} cannot be decoded",
                where=str(self.path),
                got=_reason(self.path, error),
                fix="fetch the file again" if isinstance(self.path, Path) else "try again later",
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
    tiled: bool
    paths: tuple[Place, ...]


def _facts(source: FileSource, dataset: DatasetReader) -> _Facts:
    _check(source, dataset)
    alpha = _alpha(source, dataset)
    indexes = source.select or tuple(i for i in dataset.indexes if i != alpha)
    names = source.names or tuple(_band_name(dataset, i) for i in indexes)
    nodata = (_nodata(source, dataset, i) for i in indexes)
    bands = tuple(Band(*each) for each in zip(names, nodata, strict=True))
    dtype = np.result_type(*(np.dtype(dataset.dtypes[i - 1]) for i in indexes))
    geobox = GeoBox(dataset.shape, dataset.transform, _crs(source, dataset))
    beside = dataset.files[1:] if isinstance(source.path, Path) else ()
    paths = (source.path, *map(Path, beside))
    masked = any(MaskFlags.per_dataset in flags for flags in dataset.mask_flag_enums)
    tiled = dataset.block_shapes[0][1] < dataset.width
    return _Facts(geobox, bands, indexes, dtype, alpha, masked and alpha is None, tiled, paths)


def _check(source: FileSource, dataset: DatasetReader) -> None:
    where = str(source.path)
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
        raise RasterError("has no CRS", where=str(source.path), fix="name it: --crs EPSG:32633")
    try:
        return CRS(source.crs or dataset.crs.to_wkt())
    except CRSError as error:
        raise RasterError(
            "the CRS is not known",
            where=str(source.path),
            got=source.crs or dataset.crs,
            wanted="an EPSG code such as EPSG:32633",
        ) from error


def _alpha(source: FileSource, dataset: DatasetReader) -> int | None:
    if source.alpha is not None and (source.alpha > dataset.count or dataset.count == 1):
        raise RasterError(
            f"has no band {source.alpha} to spare as alpha",
            where=str(source.path),
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


def _pixels(facts: _Facts, at: Window, dataset: DatasetReader) -> tuple[Pixels, Mask]:
    pixels = dataset.read(list(facts.indexes), window=_rasterio(at))
    return pixels, _valid(dataset, facts, pixels, at)


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


def _cannot_open(place: Place, error: OSError | RasterioError) -> RasterError:
    return RasterError("cannot be opened", where=str(place), got=_reason(place, error))


def _reason(place: Place, error: BaseException) -> str:
    """What GDAL says, without the keys that an address may hold."""
    cause = _root_cause(error)
    return cause if isinstance(place, Path) else cause.replace(place.gdal, place.name)


def _root_cause(error: BaseException) -> str:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(error)


def _using[T](place: Place, work: Callable[[DatasetReader], T]) -> T:
    """What ``work`` makes of the file; one on a server is opened anew when a transfer fails."""
    if isinstance(place, Path):
        return _handles.lend(_key(place), partial(_open_file, place), work)
    with place.settings():
        key = (place.gdal, place.stamp())
        lend = partial(_handles.lend, key, partial(_open_at, place), work)
        return remote.patiently(lend, mend=place.forget)


def _key(path: Path) -> tuple[object, ...]:
    """What a file is known by; another one under its name is another file."""
    require_local(path)
    try:
        stat = path.stat()
    except OSError as error:
        raise _cannot_open(path, error) from error
    return str(path), stat.st_mtime_ns, stat.st_ino, stat.st_size


def _open_file(path: Path) -> DatasetReader:
    try:
        driver = driver_of(path)
        threads = {"num_threads": "all_cpus"} if driver == "GTiff" else {}
        # absolute: rasterio takes gs:x.tif for a place on the network
        return rasterio.open(path.absolute(), driver=driver, **threads)
    except OSError as error:
        raise _cannot_open(path, error) from error


def _open_at(address: Address) -> DatasetReader:
    address.forget()  # GDAL may know what was there before
    return rasterio.open(address.gdal, driver=driver_of(address))


class _Handles:
    """Open files. Each has one user at a time: threads that share a handle get wrong pixels.

    The one that was used last is lent first: windows that follow each other overlap, and what was
    decoded for one is still in the handle's cache.
    """

    def __init__(self) -> None:
        self._free: list[tuple[object, DatasetReader]] = []
        self._lock = threading.Lock()

    def lend[T](
        self, key: object, opened: Callable[[], DatasetReader], work: Callable[[DatasetReader], T]
    ) -> T:
        """What ``work`` makes of a file; a handle on which it fails is closed."""
        handle = self._take(key) or opened()
        try:
            made = work(handle)
        except BaseException:
            handle.close()
            raise
        self._give(key, handle)
        return made

    def close(self) -> None:
        """Close all that nobody uses."""
        with self._lock:
            while self._free:
                self._free.pop()[1].close()

    def _take(self, key: object) -> DatasetReader | None:
        with self._lock:
            for at in reversed(range(len(self._free))):
                if self._free[at][0] == key:
                    return self._free.pop(at)[1]
        return None

    def _give(self, key: object, handle: DatasetReader) -> None:
        with self._lock:
            self._free.append((key, handle))
            oldest = self._free.pop(0)[1] if len(self._free) > HANDLES else None
        if oldest:
            oldest.close()


_handles = _Handles()
atexit.register(_handles.close)  # handles closed later than this complain on stderr
