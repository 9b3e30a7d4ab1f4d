"""An xarray.DataArray or Dataset as a source, including lazily computed ones."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.errors import RasterError
from geoseg.grid import Window
from geoseg.raster.block import Band, Block, paste, validity

if TYPE_CHECKING:
    import xarray as xr

UNEVEN = 1.5
"""Steps that differ by this factor are a gap; those of coordinates of 32 bits differ by less."""
SAME = 1e-3
"""Grids that are apart by this share of a pixel at the far corner are one."""
ROWS = 1024
"""Rows hashed at once, so that an array that is still on disk is never loaded whole."""


@dataclass(frozen=True, eq=False)
class XarraySource:
    """A DataArray of (band, y, x) or (y, x), or a Dataset whose variables (y, x) are the bands.

    It is georeferenced the way odc-geo, odc-stac and rioxarray do it. Only windows that are read
    are computed, in the thread that reads them; on a cluster they do not become tasks.

    Attributes:
        array: the array; a dask-backed one is computed window by window.
        name: its name in messages.
        whole: the grid that ``array`` was cut from by `cut`, if it was.
        held: the window of that grid that ``array`` covers.
        rest: bands that were not taken, if validity depends on them (see `validity`).

    Raises:
        RasterError: no CRS, dimensions other than band, y and x, rows or columns that are missing,
            or variables of several dtypes.
    """

    array: xr.DataArray | xr.Dataset
    name: str = "array"
    whole: GeoBox | None = None
    held: Window | None = None
    rest: tuple[XarraySource, ...] = ()

    def __post_init__(self) -> None:
        import odc.geo.xr  # noqa: F401  (registers the .odc accessor)

        layers = self._layers
        if not layers:
            raise RasterError("has no variables to take as bands", where=self.name)
        for layer in layers:
            _check(layer, self.name, self.whole, bands=int(layer is self.array))
        _ = self.geobox
        dtypes = sorted({str(layer.dtype) for layer in layers})
        if len(dtypes) > 1:
            raise RasterError(
                "its bands differ in dtype",
                where=self.name,
                got=", ".join(dtypes),
                fix='convert them: cube.astype("float32")',
            )

    @property
    def _layers(self) -> tuple[xr.DataArray, ...]:
        """The arrays with the bands: one for all of them, or one for each."""
        import xarray as xr

        if isinstance(self.array, xr.Dataset):
            return tuple(self.array.data_vars.values())
        return (self.array,)

    @cached_property
    def geobox(self) -> GeoBox:
        """The grid of the array, or of the one it was cut from."""
        return self.whole or _grid_of(self._layers[0], self.name)

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """The bands, named by the variables or by the coordinate of the first dimension."""
        return tuple(band for layer in self._layers for band in _bands(layer))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the array."""
        return self._layers[0].dtype

    @property
    def paths(self) -> tuple[Path, ...]:
        """None: an array has no files."""
        return ()

    @cached_property
    def token(self) -> str | None:
        """A sha256 that identifies the pixels in every process; None if they cannot be identified.

        For a dask-backed array it covers how the pixels are computed (files, functions, chunks), by
        dask's own tokens, and no pixel is read. A file that changes under its name is noticed only
        if the loader put its date into the graph. For other arrays it covers the pixels.
        """
        import dask
        from dask.tokenize import TokenizationError, tokenize

        with dask.config.set({"tokenize.ensure-deterministic": True}):
            try:
                pixels = [part for layer in self._layers for part in _content(layer)]
                bands = [(band.name, band.nodata) for band in self.bands]
                rest = [each.token for each in self.rest]
                text = tokenize(pixels, self.geobox, bands, rest)
            except TokenizationError:
                return None
        return hashlib.sha256(text.encode()).hexdigest()

    def take(self, positions: tuple[int, ...]) -> XarraySource:
        """The same array with only these bands."""
        dropped = sorted(set(range(len(self.bands))) - set(positions))
        taken = replace(self, array=self._picked(positions))
        unmarked = all(band.nodata is None for band in self.bands)
        if not dropped or self.dtype.kind != "u" or unmarked:
            return taken
        others = replace(self, array=self._picked(dropped), rest=())
        return replace(taken, rest=(*self.rest, others))

    def _picked(self, positions: Sequence[int]) -> xr.DataArray | xr.Dataset:
        import xarray as xr

        if isinstance(self.array, xr.Dataset):
            names = list(self.array.data_vars)
            return self.array[[names[p] for p in positions]]
        if self.array.ndim == 2:
            return self.array
        return self.array.isel({self.array.dims[0]: list(positions)})

    def cut(self, window: Window) -> XarraySource:
        """The same source reduced to what windows inside ``window`` need, to send to a worker.

        A pickled source holds all its pixels, or the graph of all its chunks: 19 MB for a
        composite of 100 000 x 100 000 px and 10 dates, of which a region needs 49 kB.

        Args:
            window: a window that overlaps the source.
        """
        from dask.base import optimize

        at = window.intersect(self._held)
        assert at is not None, "the window to cut out overlaps the source"
        rows, cols = at.relative_to(self._held).slices
        y, x = self._layers[0].dims[-2:]
        (array,) = optimize(self.array.isel({y: rows, x: cols}))  # drops chunks no longer needed
        rest = tuple(each.cut(window) for each in self.rest)
        return replace(self, array=array, whole=self.geobox, held=at, rest=rest)

    def read(self, window: Window) -> Block:
        """Read a window; pixels outside the array are not valid."""
        from dask.base import compute

        at = window.intersect(grid.whole(self.geobox.shape))
        if at is None:
            return paste(None, window, self, window)
        assert at == at.intersect(self._held), "a source is read where it was cut"
        inside = at.relative_to(self._held).slices
        parts = compute(*(layer[..., *inside] for layer in self._layers), scheduler="synchronous")
        pixels = np.concatenate([part.values.reshape(-1, *at.shape) for part in parts])
        valid = validity(pixels, tuple(band.nodata for band in self.bands))
        for each in self.rest if not valid.all() else ():
            valid |= each.read(at).valid
        return paste(Block(pixels, valid, grid.crop(self.geobox, at)), window, self, at)

    @property
    def _held(self) -> Window:
        return self.held or grid.whole(self.geobox.shape)


def _check(layer: xr.DataArray, where: str, whole: GeoBox | None, *, bands: int) -> None:
    """Check that an array is georeferenced and has at most ``bands`` dimensions before y, x."""
    geobox = whole or layer.odc.geobox
    if geobox is None or geobox.crs is None:
        raise RasterError("has no CRS", where=where, fix="array.odc.assign_crs('EPSG:...')")
    more = layer.dims[:-2]
    dates = [dim for dim in more if dim in layer.coords and layer[dim].dtype.kind == "M"]
    if layer.dims[-2:] != layer.odc.spatial_dims or len(more) > bands or dates:
        raise RasterError(
            "has other dimensions",
            where=where,
            got=", ".join(map(str, layer.dims)),
            wanted="band, y, x" if bands else "y, x",
            fix=f'reduce it first: array.median("{dates[0]}")' if dates else None,
        )


def _grid_of(layer: xr.DataArray, where: str) -> GeoBox:
    """The grid of an array whose rows and columns are evenly spaced.

    odc-geo takes the step of the first two coordinates for all. In degrees of 32 bits that is off
    by a percent, or forty pixels at the other end, so the step is that between the ends.

    Raises:
        RasterError: rows or columns are missing, or not evenly spaced.
    """
    geobox: GeoBox = layer.odc.geobox
    a, b, c, d, e, f = geobox.affine[:6]
    if b or d:
        return geobox  # the coordinates of a rotated grid are those of its pixels
    y, x = layer.dims[-2:]
    across, down = _axis(layer, x, where), _axis(layer, y, where)
    (first_x, a), (first_y, e) = across or (c + a / 2, a), down or (f + e / 2, e)
    affine = Affine(a, 0, first_x - a / 2, 0, e, first_y - e / 2)
    corner = geobox.shape[1], geobox.shape[0]
    shift = np.subtract(affine @ corner, geobox.affine @ corner) / (a, e)
    return geobox if (np.abs(shift) < SAME).all() else GeoBox(geobox.shape, affine, geobox.crs)


def _axis(layer: xr.DataArray, dim: Hashable, where: str) -> tuple[float, float] | None:
    """The first coordinate and the step; None without coordinates or with a single one."""
    if dim not in layer.coords or layer.sizes[dim] < 2:
        return None
    values = layer[dim].values.astype(float)
    steps = np.diff(values)
    usual = float(np.median(steps))
    step = float(values[-1] - values[0]) / len(steps)
    off = np.abs(values - values[0] - step * np.arange(len(values)))
    if (
        (steps / usual < 1 / UNEVEN).any()
        or (steps / usual > UNEVEN).any()
        or off.max() > abs(step)
    ):
        at = int(np.argmax(np.abs(steps - usual)))
        raise RasterError(
            f"its {dim} are not evenly spaced",
            where=where,
            got=f"{values[at]:.10g}, then {values[at + 1]:.10g}",
            wanted=f"steps of {usual:.10g}",
            fix=f"fill the gap first: array.reindex({dim}=...)",
        )
    return float(values[0]), step


def _bands(layer: xr.DataArray) -> Iterator[Band]:
    nodata = layer.odc.nodata
    nodata = None if nodata is None or np.isnan(nodata) else float(nodata)
    if layer.ndim == 2:
        yield Band(str(layer.name or "b1"), nodata)
        return
    dim = layer.dims[0]
    labels = layer[dim].values.tolist() if dim in layer.coords else range(1, len(layer) + 1)
    for label in labels:
        yield Band(label if isinstance(label, str) else f"b{label}", nodata)


def _content(layer: xr.DataArray) -> Iterator[Any]:
    """Objects that identify the pixels: a dask array, or hashes of groups of rows."""
    from dask.tokenize import tokenize

    if layer.chunks is not None:
        yield layer.data
        return
    for row in range(0, layer.shape[-2], ROWS):
        yield tokenize(layer[..., row : row + ROWS, :].values)
