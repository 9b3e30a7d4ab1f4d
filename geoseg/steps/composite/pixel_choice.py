"""One layer of many dates: the first clear pixel, or the median."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr


def first_clear(cube: xr.Dataset) -> xr.Dataset:
    """Take each pixel from the first date that has it."""
    layers = [cube.isel(time=index, drop=True) for index in range(cube.sizes["time"])]
    return reduce(lambda upper, lower: upper.fillna(lower), layers)


def median(cube: xr.Dataset) -> xr.Dataset:
    """Take the median over all dates, pixel by pixel."""
    import xarray as xr

    flat: xr.Dataset = xr.apply_ufunc(
        _medians, cube.chunk(time=-1), input_core_dims=[["time"]], dask="parallelized",
        output_dtypes=["float32"],
    )  # fmt: skip
    return flat


def _medians(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median over the last axis; NaN where all are.

    As `numpy.nanmedian`, which warns at each pixel of NaN alone and is several times slower.
    """
    ordered = np.sort(pixels, axis=-1)
    count = np.isfinite(pixels).sum(axis=-1, keepdims=True)
    middle = (np.maximum(count - 1, 0) // 2, count // 2)
    low, high = (np.take_along_axis(ordered, each, axis=-1)[..., 0] for each in middle)
    return np.where(count[..., 0] > 0, (low + high) / 2, np.nan).astype(np.float32)


def with_nan(layer: xr.DataArray) -> xr.DataArray:
    """A layer as float32, which holds every 16-bit number exactly, with NaN for nodata."""
    nodata = layer.odc.nodata
    layer = layer if nodata is None else layer.where(layer != nodata)
    return layer.astype("float32")


def as_stored(layer: xr.DataArray, dtype: str) -> xr.DataArray:
    """A layer in the scene's type; 0 is nodata, so real zeros become the smallest other value."""
    if dtype == "float32":
        return layer
    least, most = (1, np.iinfo(dtype).max) if dtype[0] == "u" else (-(2**15) + 1, 2**15 - 1)
    whole = layer.round().clip(least, most).fillna(0).astype(dtype)
    stored: xr.DataArray = whole.assign_attrs(nodata=0)
    return stored
