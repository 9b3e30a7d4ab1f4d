"""The function that turns a class raster into polygons, strip by strip."""

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
from geoseg.grid import Source, Window
from geoseg.polygonize.band import Band, Finished, combined, finish, join
from geoseg.polygonize.generalize import shaped
from geoseg.polygonize.merge import merged
from geoseg.polygonize.metric import metric_of
from geoseg.polygonize.region_graph import survey, whole
from geoseg.polygonize.region_polygons import Regions, regions_of
from geoseg.polygonize.rules import Rules
from geoseg.polygonize.strip_codes import Strip, values_of, windows
from geoseg.polygonize.strips import Followed, follow, seam

type Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""Calls a function on every item, anywhere, and yields what it returns in the order of items."""


def trace(
    classes: Source,
    *,
    confidence: Source | None = None,
    rules: Rules = Rules(),
    spread: Spread | None = None,
    strip_rows: int | None = None,
) -> Iterator[Regions]:
    """Turn every region of one class into a polygon; polygons share every edge and every node.

    Pixels without a value, or of value 255, belong to no polygon. The raster is read in strips of
    rows, and a region is handed out as soon as no strip to come can add to it. What is kept are
    the boundaries of regions that are still open; with rules for areas also the graph of all
    regions (the raster is then read twice), and with rules for shapes all boundaries.

    The polygons are the same, to the bit, whatever the strips and whoever works on them.

    Args:
        classes: one band of class values, whole numbers.
        confidence: one band of 0 to 100 on the same grid.
        rules: how regions become polygons.
        spread: calls a function on many arguments and yields the results in their order; threads
            of this process do it if nothing else is said. Functions, arguments and results pickle.
        strip_rows: the height of strips, where it should not follow from the width.

    Returns:
        Batches of regions; none comes twice, and they come in the order in which they are
        finished. `collect` makes one of them.

    Raises:
        RasterError: the classes are not one band of whole numbers.
        GridError: the confidence lies on another grid.

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
    """Work in threads of this process.

    With one, everything happens in the calling thread.

    Args:
        workers: how many threads; by default one per core that this process may use.
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


def _value(classes: Source, split_at: float | None) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """From codes to class values, as they are in the raster.

    Raises:
        RasterError: the classes are not one band of whole numbers.
    """
    pixels = classes.read(Window(0, 0, 1, 1)).pixels
    if len(pixels) != 1 or pixels.dtype.kind not in "ui":
        raise RasterError(
            "is no class raster",
            where=classes.name,
            got=f"{len(pixels)} bands of {pixels.dtype}",
            wanted="one band of whole numbers",
        )
    return lambda codes: values_of(codes, split_at).astype(pixels.dtype)


def _check(classes: Source, confidence: Source | None) -> None:
    misfit = confidence and grid.misfit(classes.geobox, confidence.geobox)
    if confidence is not None and misfit is not None:
        raise GridError(
            "the confidence is not on the grid of the classes", where=confidence.name, got=misfit
        )


def _merged(strips: list[Strip], rules: Rules, spread: Spread) -> list[Strip]:
    """The strips with the classes that their regions have once small ones have joined others."""
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
    """Join strips as they come; yield what is complete, and forget it."""
    band: Band | None = None
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
