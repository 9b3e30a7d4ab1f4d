"""Checks that find everything about a raster that could spoil a result, before it is mapped."""

from geoseg.raster.checks.raster_inspection import RasterInspection, inspect_raster, problems_of

__all__ = ["RasterInspection", "inspect_raster", "problems_of"]
