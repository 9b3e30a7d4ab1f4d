"""`trace`: from a class raster to polygons, strip by strip."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from numpy.typing import NDArray

from geoseg import grid
from geoseg.errors import GridError, RasterError
from geoseg.grid import Window, WindowSource
from geoseg.polygonize.band import Finished, RowBand, combined, finish, join
from geoseg.polygonize.generalize import shaped
from geoseg.polygonize.metric import metric_of
from geoseg.polygonize.region_graph import survey, whole
from geoseg.polygonize.region_merging import merged
from geoseg.polygonize.region_polygons import Regions, regions_of
from geoseg.polygonize.rules import Rules
from geoseg.polygonize.strip_codes import Strip, values_of, windows
from geoseg.polygonize.strips import Followed, follow, seam

type Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""Applies a function to items, anywhere, and yields the results in the order of the items."""


def trace(
    classes: WindowSource,
    *,
    confidence: WindowSource | None = None,
    rules: Rules = Rules(),
    spread: Spread | None = None,
    strip_rows: int | None = None,
) -> Iterator[Regions]:
    """Turn every region of one class into a polygon; polygons share every edge and every node.

    Nodata and 255 belong to no polygon. The raster is read in strips of rows, and a region is
    yielded as soon as no later strip can add to it. Memory holds the boundaries of open regions;
    with limits of area also the graph of all regions (the raster is then read twice), and with
    simplification or smoothing all boundaries.

    The polygons are identical, to the bit, for all heights of strips and numbers of workers.

    Args:
        classes: one band of integers.
        confidence: one band of percentages, 0 to 100, on the same grid.
        rules: which regions are kept, and how their outlines are drawn.
        spread: applies a function to many items and yields the results in their order; threads of
            this process by default. Functions, items and results can be pickled.
        strip_rows: height of strips in pixels; by default it follows from the width.

    Returns:
        Batches of regions, each region once, in the order in which they are completed. `collect`
        concatenates them.

    Raises:
        RasterError: the classes are not one band of integers.
        GridError: the confidence is on another grid.

    Example:
        >>> import numpy as np
        >>> from affine import Affine
        >>> from odc.geo.geobox import GeoBox
        >>> from geoseg.polygonize import ArraySource, collect
        >>> geobox = GeoBox((2, 3), Affine(10, 0, 0, 0, -10, 20), "EPSG:32633")
        >>> classes = np.array([[0, 0, 1], [0, 255, 1]], dtype=np.uint8)
        >>> found = collect(trace(ArraySource(classes, geobox)))
        >>> found.values.tolist(), found.pixels.tolist(), found.first.tolist()
        ([0, 1], [3, 2], [0, 2])
        >>> print(found.geometries[1])
        POLYGON ((20 20, 20 10, 20 0, 30 0, 30 20, 20 20))
    """
    value = _value(classes, rules.split_at)
    _check(classes, confidence)
    spread = spread or threads()
    height, width = classes.geobox.shape
    strips = [
        Strip(classes, confidence, window, rules.connectivity)
        for window in windows((height, width), strip_rows)
    ]
    if rules.min_area_m2 > 0 or rules.max_hole_m2 > 0:
        strips = _merged(strips, rules, spread)
    strips = [replace(strip, split_at=rules.split_at) for strip in strips]
    done = _finished(spread(follow, strips), height, rules.connectivity)
    if rules.simplify is not None or rules.smooth:
        done = iter([shaped(combined(list(done)), rules, classes.geobox)])
    for finished in done:
        yield from regions_of(finished, classes.geobox.affine, value)


def threads(workers: int | None = None) -> Spread:
    """Spread work over threads of this process; with one, everything runs in the calling thread.

    Args:
        workers: number of threads; by default one per core this process may use.
    """
    from dask.system import CPU_COUNT

    count = workers or CPU_COUNT

    def spread[T, R](function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        if count == 1:
            yield from map(function, items)
            return
        waiting = iter(items)
        with ThreadPoolExecutor(count) as pool:
            running: deque[Future[R]] = deque()
            running.extend(pool.submit(function, item) for item in islice(waiting, count))
            while running:
                done = running.popleft().result()
                running.extend(pool.submit(function, item) for item in islice(waiting, 1))
                yield done

    return spread


def _value(classes: WindowSource, split_at: float | None) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """A function from codes to class values in the raster's type.

    Raises:
        RasterError: the classes are not one band of integers.
    """
    pixels = classes.read(Window(0, 0, 1, 1)).pixels
    if len(pixels) != 1 or pixels.dtype.kind not in "ui":
        raise RasterError(
            "is not a class raster",
            where=classes.name,
            got=f"{len(pixels)} bands of {pixels.dtype}",
            wanted="one band of integers",
        )
    return lambda codes: values_of(codes, split_at).astype(pixels.dtype)


def _check(classes: WindowSource, confidence: WindowSource | None) -> None:
    misfit = confidence and grid.misfit(classes.geobox, confidence.geobox)
    if confidence is not None and misfit is not None:
        raise GridError(
            "the confidence is not on the grid of the classes", where=confidence.name, got=misfit
        )


def _merged(strips: list[Strip], rules: Rules, spread: Spread) -> list[Strip]:
    """The strips with new class codes, now that small regions have been merged into others."""
    geobox = strips[0].classes.geobox
    metric = metric_of(geobox)
    surveys = spread(partial(survey, metric=metric), strips)
    graph, regions = whole(surveys, geobox.shape[0], rules.connectivity, metric)
    code = merged(graph, rules, metric)
    return [
        replace(strip, recoded=code[numbers])
        for strip, numbers in zip(strips, regions, strict=True)
    ]


def _finished(parts: Iterable[Followed], height: int, connectivity: int) -> Iterator[Finished]:
    """Join strips in their order; yield what is complete, and forget it."""
    band: RowBand | None = None
    above: Followed | None = None
    for part in parts:
        yield part.finished
        if band is None or above is None:
            band = part.band
        else:
            between = seam(above, part, height, connectivity)
            finished, band = finish(join(join(band, between), part.band))
            yield finished
        above = part
