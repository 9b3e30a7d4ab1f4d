"""From a class raster of any kind to polygons in memory, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.errors import RasterError
from geoseg.job.pool import WorkerOptions

if TYPE_CHECKING:
    import xarray as xr
    from affine import Affine
    from numpy.typing import NDArray
    from odc.geo.crs import CRS

    from geoseg.grid import WindowSource
    from geoseg.polygonize import Regions, Rules

__all__ = ["trace"]

type Classes = str | Path | NDArray[Any] | xr.DataArray | WindowSource


def trace(
    classes: Classes,
    *,
    confidence: Classes | None = None,
    rules: Rules | None = None,
    options: WorkerOptions | None = None,
) -> Iterator[Regions]:
    """Turn a class raster into polygons that share every edge, batch by batch.

    Every connected region of one class becomes a polygon; nodata and 255 belong to none. The
    raster may be of any size. `vectorize` writes the same polygons to a file, with names and areas.

    Args:
        classes: one band of integers: a raster file, an ``xarray.DataArray`` with a CRS, any
            raster source, or a numpy array (height, width). Polygons of a bare array are in pixel
            coordinates, columns and rows, y pointing down; `ArraySource` georeferences it.
        confidence: percentages, 0 to 100, on the same grid; a bare array is placed on it.
        rules: which regions to keep, and how to draw their outlines.
        options: worker processes or a Dask cluster; threads of this process by default.

    Returns:
        Batches of regions, each yielded as soon as it is complete; `geoseg.polygonize.collect`
        concatenates them in the order of first pixels.

    Raises:
        RasterError: the classes are not one band of integers, or the file is broken.
        GridError: the confidence is on another grid, or rules in metres are used without a CRS.
        ConfigError: the Dask cluster cannot be used.

    Example:
        >>> import numpy as np
        >>> for regions in trace(np.array([[1, 1, 7], [1, 255, 7]], dtype=np.uint8)):
        ...     for value, geometry in zip(regions.values, regions.geometries):
        ...         print(value, geometry.area, geometry.bounds)
        1 3.0 (0.0, 0.0, 2.0, 2.0)
        7 2.0 (2.0, 0.0, 3.0, 2.0)
    """
    from affine import Affine

    from geoseg import polygonize
    from geoseg.job import on_workers

    source = _source(classes, Affine.identity(), None)
    affine, crs = source.geobox.affine, source.geobox.crs
    return polygonize.trace(
        source,
        confidence=None if confidence is None else _source(confidence, affine, crs),
        rules=rules or polygonize.Rules(),
        spread=on_workers(options or WorkerOptions(), label="strips"),
    )


def _source(classes: Classes, affine: Affine, crs: CRS | None) -> WindowSource:
    """A source for any kind of classes; ``affine`` and ``crs`` place a bare array."""
    import numpy as np
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from geoseg.polygonize import ArraySource
    from geoseg.raster import FileSource, XarraySource

    if isinstance(classes, str | Path):
        return FileSource(Path(classes).absolute(), title=str(classes))
    if isinstance(classes, xr.DataArray):
        return XarraySource(classes)
    if not isinstance(classes, np.ndarray):
        return classes
    if classes.ndim != 2:
        raise RasterError(
            "is not a class raster", got=f"{classes.ndim} dimensions", wanted="rows and columns"
        )
    return ArraySource(classes, GeoBox(classes.shape, affine, crs))
