"""A raster file as a source; it is opened when it is first read, and pickles as its path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio.windows
from odc.geo import CRS
from odc.geo.geobox import GeoBox
from pyproj.exceptions import CRSError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError

from geoseg import files, grid
from geoseg.errors import RasterError, UnsafeError
from geoseg.grid import Window
from geoseg.raster.block import Band, Block, Mask, Pixels, paste, unique_names, validity
from geoseg.raster.dependencies import files_of
from geoseg.raster.handles import cannot_open, reason, with_dataset
from geoseg.remote import Place

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

OPAQUE, OPAQUE_FLOAT = 128, 0.5
"""Alpha from which a pixel counts as measured; drone mosaics are feathered along their cutlines.

Integer alpha is compared as stored, whatever its dtype: there are 16-bit scenes with an alpha of 0
and 255.
"""
MAX_BLOCK_BYTES = 256 << 20
"""GDAL decodes whole blocks: one strip of a huge untiled file could fill the memory."""
MAX_BANDS = 512
"""Hyperspectral sensors have some 200 to 400 bands; more is a data cube or a broken header."""
COLOURS = ("red", "green", "blue", "nir", "rededge", "swir", "coastal", "pan")
"""Colour interpretations of GDAL that name a band; gray and undefined do not."""


@dataclass(frozen=True)
class FileSource:
    """A raster file, on this machine or at an address.

    Attributes:
        path: the file.
        crs: a CRS that replaces the file's own (or supplies a missing one).
        nodata: a nodata value that replaces the file's own.
        alpha: 1-based number of the band to use as alpha, for files that declare none.
        select: 1-based numbers of the bands to read; all but alpha when empty.
        names: band names that replace the file's own.
        title: a name for messages, instead of the path.
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
    def _stamp(self) -> str:
        """As it was when the source was first used; its copies in other processes share it."""
        return files.stamp_of(files_of(self.path)) if isinstance(self.path, Path) else ""

    @cached_property
    def _facts(self) -> _Facts:
        try:
            return with_dataset(self.path, partial(_facts, self), self._stamp)
        except RasterioError as error:
            raise cannot_open(self.path, error) from error

    @property
    def geobox(self) -> GeoBox:
        """The file's grid."""
        return self._facts.geobox

    @property
    def bands(self) -> tuple[Band, ...]:
        """The selected bands, without alpha."""
        return self._facts.bands

    @property
    def dtype(self) -> np.dtype[Any]:
        """The common dtype of the selected bands."""
        return self._facts.dtype

    @property
    def tiled(self) -> bool:
        """Whether the file is stored in tiles, rather than in strips of full rows."""
        return self._facts.tiled

    @property
    def paths(self) -> tuple[Place, ...]:
        """The file, its sidecars, and the files that a VRT arranges, with theirs."""
        return self._facts.paths

    def take(self, positions: tuple[int, ...]) -> FileSource:
        """The same file with only these bands."""
        facts = self._facts
        names = tuple(facts.bands[p].name for p in positions)
        return replace(self, select=tuple(facts.indexes[p] for p in positions), names=names)

    def read(self, window: Window) -> Block:
        """Read a window; pixels outside the file are not valid.

        Raises:
            RasterError: the file cannot be opened, or one of its blocks cannot be decoded.
            UnsafeError: the file is of a kind that must not be opened.
        """
        facts = self._facts
        at = window.intersect(grid.whole(facts.geobox.shape))
        if at is None:
            return paste(None, window, self, window)
        try:
            pixels, valid = with_dataset(self.path, partial(_pixels, facts, at), self._stamp)
        except RasterioError as error:
            raise RasterError(
                f"rows {at.row}-{at.stop[0]}, columns {at.col}-{at.stop[1]} cannot be decoded",
                where=str(self.path),
                got=reason(self.path, error),
                fix="fetch the file again" if isinstance(self.path, Path) else "try again later",
            ) from error
        return paste(Block(pixels, valid, grid.crop(facts.geobox, at)), window, self, at)


@dataclass(frozen=True)
class _Facts:
    geobox: GeoBox
    bands: tuple[Band, ...]
    indexes: tuple[int, ...]
    others: Mapping[int, float | None]
    dtype: np.dtype[Any]
    alpha: int | None
    masked: bool
    tiled: bool
    paths: tuple[Place, ...]


def _facts(source: FileSource, dataset: DatasetReader) -> _Facts:
    _check(source, dataset)
    alpha = _alpha(source, dataset)
    indexes = source.select or tuple(i for i in dataset.indexes if i != alpha)
    names = source.names or _names(dataset, alpha, indexes)
    nodata = {i: _nodata(source, dataset, i) for i in dataset.indexes if i != alpha}
    bands = tuple(Band(name, nodata.get(i)) for name, i in zip(names, indexes, strict=True))
    others = {i: value for i, value in nodata.items() if i not in indexes}
    dtype = np.result_type(*(np.dtype(dataset.dtypes[i - 1]) for i in indexes))
    geobox = GeoBox(dataset.shape, dataset.transform, _crs(source, dataset))
    paths: tuple[Place, ...] = (source.path,)
    if isinstance(source.path, Path):  # GDAL lists those of a remote one by names of its own
        known = files_of(source.path)
        there = {path.absolute() for path in known}
        paths = (*known, *(each for each in map(Path, dataset.files) if each not in there))
    masked = any(MaskFlags.per_dataset in flags for flags in dataset.mask_flag_enums)
    tiled = dataset.block_shapes[0][1] < dataset.width
    masked = masked and alpha is None
    return _Facts(geobox, bands, indexes, others, dtype, alpha, masked, tiled, paths)


def _check(source: FileSource, dataset: DatasetReader) -> None:
    where = str(source.path)
    if any(kind.startswith("complex") for kind in dataset.dtypes):
        raise RasterError("has complex pixels", where=where, fix="write amplitudes first")
    if dataset.count > MAX_BANDS:
        raise RasterError("has too many bands", where=where, got=dataset.count, wanted=MAX_BANDS)
    if len(set(dataset.dtypes)) > 1:
        raise RasterError("its bands differ in dtype", where=where, got=", ".join(dataset.dtypes))
    if dataset.tags(ns="OVERVIEWS"):  # GDAL would open that file with any driver
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
    return declared_alpha(dataset) if source.alpha is None else source.alpha


def declared_alpha(dataset: DatasetReader) -> int | None:
    """The number of the band that a file declares as alpha; None if there is none to spare."""
    if ColorInterp.alpha in dataset.colorinterp and dataset.count > 1:
        return int(dataset.colorinterp.index(ColorInterp.alpha)) + 1
    return None


def opaque_from(dtype: np.dtype[Any]) -> float:
    """The alpha from which a pixel counts as measured."""
    return OPAQUE if dtype.kind in "ui" else OPAQUE_FLOAT


def _names(dataset: DatasetReader, alpha: int | None, indexes: tuple[int, ...]) -> tuple[str, ...]:
    """Numbered over all bands, so that a name does not depend on the bands that are read."""
    every = [index for index in dataset.indexes if index != alpha]
    names = dict(zip(every, unique_names([band_name(dataset, i) for i in every]), strict=True))
    return tuple(names.get(index) or band_name(dataset, index) for index in indexes)


def band_name(dataset: DatasetReader, index: int) -> str:
    """The description of a band, counted from 1; else its colour, or "b1", "b2" ..."""
    described = dataset.descriptions[index - 1]
    colour = dataset.colorinterp[index - 1].name
    return described or (colour if colour in COLOURS else f"b{index}")


def _nodata(source: FileSource, dataset: DatasetReader, index: int) -> float | None:
    # NaN is left out: it equals nothing, not even itself, and `validity` excludes it anyway.
    value = dataset.nodatavals[index - 1] if source.nodata is None else source.nodata
    return None if value is None or np.isnan(value) else float(value)


def _pixels(facts: _Facts, at: Window, dataset: DatasetReader) -> tuple[Pixels, Mask]:
    pixels = dataset.read(list(facts.indexes), window=_rasterio_window(at))
    return pixels, _valid(dataset, facts, pixels, at)


def _valid(dataset: DatasetReader, facts: _Facts, pixels: Any, at: Window) -> Mask:
    valid = validity(pixels, tuple(band.nodata for band in facts.bands))
    if facts.others and facts.dtype.kind == "u" and not valid.all():
        # 0 is no data only where it is 0 in all bands of the file, also those that are not taken
        rest = dataset.read(list(facts.others), window=_rasterio_window(at))
        valid |= validity(rest, tuple(facts.others.values()))
    if facts.alpha is not None:
        alpha = dataset.read(facts.alpha, window=_rasterio_window(at))
        valid &= alpha >= opaque_from(alpha.dtype)
    # GDAL offers an alpha band as the dataset's mask too, hence `masked` is False where one is.
    if facts.masked:
        valid &= dataset.dataset_mask(window=_rasterio_window(at)) > 0
    return valid


def _rasterio_window(window: Window) -> rasterio.windows.Window:
    return rasterio.windows.Window(window.col, window.row, window.width, window.height)
