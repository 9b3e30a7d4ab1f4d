"""Sources that several tests of rasters read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import odc.geo.xr  # noqa: F401  (registers the .odc accessor)
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from small_scene import NORTH_UP, MakeRaster, SmallScene

from geoseg.grid import Window
from geoseg.raster import FileSource

WHOLE = Window(0, 0, 96, 128)
RNG = np.random.default_rng(3)
GREY = np.random.default_rng(3).integers(1, 255, (96, 128), dtype=np.uint8)


def coarse(make_raster: MakeRaster, path: Path) -> tuple[FileSource, NDArray[np.uint16]]:
    """A band with pixels twice as large as the small scene's, on the same corner."""
    pixels = RNG.integers(800, 1200, (48, 64), dtype=np.uint16)
    make_raster(path, pixels, transform=NORTH_UP @ Affine.scale(2))
    return FileSource(path, names=("B05",)), pixels


def array_of(scene: SmallScene, *, chunks: bool = False) -> xr.DataArray:
    geobox = GeoBox((96, 128), NORTH_UP, "EPSG:32633")
    data: Any = dask.array.from_array(scene.pixels, (1, 40, 50)) if chunks else scene.pixels
    array = xr.DataArray(data, dims=("band", "y", "x"), coords={"band": ["red", "nir", "swir"]})
    array.attrs["nodata"] = 0
    return array.odc.assign_crs("EPSG:32633").assign_coords(
        x=(np.arange(128) + 0.5) * 0.5 + geobox.affine.c,
        y=geobox.affine.f - (np.arange(96) + 0.5) * 0.5,
    )
