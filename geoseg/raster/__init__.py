"""Rasters in and out: one type of block, sources that wrap sources, and COGs."""

import geoseg.gdal  # noqa: F401  (before any libgdal is loaded)
from geoseg.raster.block import Band, Block, RasterSource
from geoseg.raster.dependencies import files_of
from geoseg.raster.file_source import FileSource
from geoseg.raster.scenes import Scene, expand, open_scene, open_scenes
from geoseg.raster.stack_source import StackSource
from geoseg.raster.warp_source import WarpSource, on_grid
from geoseg.raster.xarray_source import XarraySource

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
    "files_of",
    "on_grid",
    "open_scene",
    "open_scenes",
]
