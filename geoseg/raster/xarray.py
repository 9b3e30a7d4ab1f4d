"""An xarray.DataArray, also a lazily computed one, as a source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.errors import RasterError
from geoseg.grid import Window
from geoseg.raster.block import Band, Block, paste, validity

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False)
class XarraySource:
    """A DataArray of (band, y, x) or (y, x), georeferenced as odc-geo and rioxarray do.

    Attributes:
        array: the array; dask-backed ones are computed window by window.
        name: what to call it in messages.

    Raises:
        RasterError: no CRS, or dimensions other than band, y and x.
    """

    array: xr.DataArray
    name: str = "array"

    def __post_init__(self) -> None:
        import odc.geo.xr  # noqa: F401  (registers the .odc accessor)

        geobox = self.array.odc.geobox
        if geobox is None or geobox.crs is None:
            raise RasterError("has no CRS", where=self.name, fix="array.odc.assign_crs('EPSG:...')")
        if self.array.dims[-2:] != geobox.dimensions or self.array.ndim not in (2, 3):
            raise RasterError(
                "has other dimensions", where=self.name, got=self.array.dims, wanted="band, y, x"
            )

    @property
    def geobox(self) -> GeoBox:
        """The grid of the array."""
        geobox: GeoBox = self.array.odc.geobox
        return geobox

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """The bands, named by the coordinate of the first dimension where it has one."""
        nodata = self.array.odc.nodata
        nodata = None if nodata is None or np.isnan(nodata) else float(nodata)
        if self.array.ndim == 2:
            return (Band(str(self.array.name or "b1"), nodata),)
        dim = self.array.dims[0]
        if dim in self.array.coords:
            labels = self.array.coords[dim].values
            return tuple(
                Band(v if isinstance(v, str) else f"b{v}", nodata) for v in labels.tolist()
            )
        return tuple(Band(f"b{i + 1}", nodata) for i in range(self.array.shape[0]))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the array."""
        return self.array.dtype

    @property
    def paths(self) -> tuple[Path, ...]:
        """None: an array has no files."""
        return ()

    def take(self, positions: tuple[int, ...]) -> XarraySource:
        """The same array with only these bands."""
        if self.array.ndim == 2:
            return self
        return XarraySource(self.array.isel({self.array.dims[0]: list(positions)}), self.name)

    def read(self, window: Window) -> Block:
        """Read a window; what lies outside the array is not valid."""
        at = window.intersect(grid.whole(self.geobox.shape))
        if at is None:
            return paste(None, window, self, window)
        values = self.array[(..., *at.slices)].compute(scheduler="synchronous").values
        pixels = values.reshape(-1, *at.shape)
        valid = validity(pixels, tuple(band.nodata for band in self.bands))
        return paste(Block(pixels, valid, grid.crop(self.geobox, at)), window, self, at)
