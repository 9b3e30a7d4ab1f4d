"""Rasters in and out: one block type, sources that wrap sources, files that appear whole."""

import geoseg.gdal  # noqa: F401  (before any libgdal is loaded)
from geoseg.raster.block import Band, Block, RasterSource
from geoseg.raster.geotiff import FileSource
from geoseg.raster.open import Scene, expand, open_scene, open_scenes
from geoseg.raster.stack import StackSource
from geoseg.raster.warp import WarpSource, on_grid
from geoseg.raster.xarray import XarraySource

__all__ = [
    "Band",
    "Block",
    "FileSource",
    "RasterSource",
    "Scene",
    "StackSource",
    "WarpSource",
    "XarraySource",
    "expand",
    "on_grid",
    "open_scene",
    "open_scenes",
]
