"""A stratified random sample of the pixels of maps of any size."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
from numpy.typing import NDArray

from geoseg import grid, ground
from geoseg.accuracy import Floats
from geoseg.accuracy.stratified import allocate, sample_size
from geoseg.classes import IGNORE, ClassScheme
from geoseg.errors import ConfigError, GridError, InputError
from geoseg.grid import Window
from geoseg.labels import Labels
from geoseg.maps.land_map import WINDOW_PX, LandMap, open_area
from geoseg.maps.pixel_areas import known_areas_m2
from geoseg.progress import track

logger = logging.getLogger(__name__)
EXPECTED_USERS_ACCURACY = 0.8
"""User's accuracy to plan for without a better guess; lower ones ask for more points."""


@dataclass(frozen=True, eq=False)
class CountedWindow:
    """A window of a map with the pixels of each class in it.

    Attributes:
        land_map: the map.
        area: mask of the pixels to draw from, on the map's grid; None for all.
        window: the window.
        pixels: (classes,) number of pixels.
        area_m2: (classes,) their area.
        largest_m2: area of the largest pixel.
    """

    land_map: LandMap
    area: Labels | None
    window: Window
    pixels: NDArray[np.int64]
    area_m2: Floats
    largest_m2: float

    def read(self) -> NDArray[np.uint8]:
        """Class ids, (height, width); 255 outside the area."""
        return _read(self.land_map, self.area, self.window)


@dataclass(frozen=True, eq=False)
class Strata:
    """The classes of maps as strata.

    Attributes:
        scheme: the classes.
        crs: CRS of the first map, which points are written in.
        windows: windows with at least one mapped pixel.
        pixels: (classes,) number of pixels.
        area_m2: (classes,) their area.
    """

    scheme: ClassScheme
    crs: pyproj.CRS
    windows: list[CountedWindow]
    pixels: NDArray[np.int64]
    area_m2: Floats

    @property
    def weights(self) -> Floats:
        """(classes,) share of the maps' area."""
        return self.area_m2 / self.area_m2.sum()


@dataclass(frozen=True, eq=False)
class SamplePoints:
    """Points at centres of pixels, in random order.

    Attributes:
        x: (n,) easting or longitude, in the CRS of the strata.
        y: (n,) northing or latitude.
        ids: (n,) mapped class.
    """

    x: Floats
    y: Floats
    ids: NDArray[np.int64]


def measure_strata(maps: Sequence[LandMap], area: Path | None) -> Strata:
    """Measure the area of each class.

    Args:
        maps: maps of the same classes.
        area: polygons to draw within; None for the whole maps.

    Raises:
        ApartError: the area does not meet a map.
        GridError: a map's CRS is not tied to the Earth.
        InputError: no pixel is mapped.
    """
    windows = [window for each in maps for window in _counted_windows(each, area)]
    if not windows:
        raise InputError("there is no mapped pixel to draw", where=maps[0].path)
    area_m2 = np.sum([each.area_m2 for each in windows], axis=0)
    if np.isnan(area_m2).any():
        raise GridError(
            "its areas are unknown: the CRS is not tied to the ground",
            where=maps[0].path,
            got=grid.crs_of(maps[0].geobox).proj.name,
            wanted="a geographic or projected CRS",
            fix="name the right one: --crs EPSG:32633",
        )
    pixels = np.sum([each.pixels for each in windows], axis=0)
    crs = grid.crs_of(maps[0].geobox).proj
    return Strata(maps[0].scheme, crs, windows, pixels, area_m2)


def plan_sample(
    strata: Strata, points: int | None, standard_error: float | None, expect: Sequence[str]
) -> NDArray[np.int64]:
    """Allocate points to classes.

    Args:
        strata: the classes.
        points: number of points; None for as many as the standard error takes.
        standard_error: standard error of overall accuracy to reach.
        expect: user's accuracies to plan for, each as NAME=SHARE.

    Returns:
        (classes,) points per class.

    Raises:
        ConfigError: neither a number nor a standard error, too few points, or an expectation of
            another form.
    """
    if points is None:
        if standard_error is None or not 0 < standard_error < 0.5:
            raise ConfigError(
                "the size of the sample is not given",
                got=standard_error,
                fix="--draw-sample 500, or --standard-error 0.01",
            )
        users = _expected_accuracies(strata.scheme, expect)
        points = sample_size(strata.weights, users, standard_error)
    mapped = int((strata.pixels > 0).sum())
    if points < 2 * mapped:  # one point has no variance: Olofsson et al. (2014), equation 5
        raise ConfigError(
            "a sample needs two points of every class", got=points, wanted=f"at least {2 * mapped}"
        )
    shares = allocate(points, strata.weights, strata.pixels)
    for name, weight, share in zip(strata.scheme.names, strata.weights, shares, strict=True):
        logger.info("%s: %.2f %% of the map, %d points", name, 100 * weight, share)
    return shares


def draw_points(strata: Strata, shares: NDArray[np.int64], seed: int) -> SamplePoints:
    """Draw pixels without replacement, each with a chance in proportion to its area.

    Where pixels differ in size, as they do in degrees, candidates are drawn with equal chance and
    kept with a chance in proportion to their area (rejection sampling). The points are shuffled
    at the end: whoever works down the list is not shown one class after the other.

    Args:
        strata: the classes.
        shares: (classes,) points per class.
        seed: the same seed draws the same points.
    """
    rng = np.random.default_rng(seed)
    wanted = [
        _candidates(strata, index, int(share), rng) for index, share in enumerate(shares.tolist())
    ]
    rows = list(_located(strata, wanted))
    ids, order, x, y, area = np.concatenate(rows).T
    largest = max(each.largest_m2 for each in strata.windows)
    kept = []
    for index, share in enumerate(shares.tolist()):
        mine = np.flatnonzero(ids == index)
        mine = mine[np.argsort(order[mine])]
        # The tolerance keeps every pixel of a grid with one pixel size, whatever the rounding.
        lucky = rng.random(len(mine)) * largest <= area[mine] * (1 + 1e-9)
        # Should chance keep too few, rejected candidates fill up: the number of points is promised.
        kept.append(np.append(mine[lucky], mine[~lucky])[:share])
    chosen = rng.permutation(np.concatenate(kept))
    return SamplePoints(x[chosen], y[chosen], ids[chosen].astype(np.int64))


def _counted_windows(land_map: LandMap, area_path: Path | None) -> Iterator[CountedWindow]:
    area = None if area_path is None else open_area(area_path, land_map.geobox)
    classes = len(land_map.scheme.classes)
    windows = list(grid.split(grid.whole(land_map.geobox.shape), WINDOW_PX))
    for window in track(windows, label="windows", total=len(windows)):
        ids = _read(land_map, area, window)
        pixels = np.bincount(ids.ravel(), minlength=classes)[:classes]
        if pixels.any():
            sizes = known_areas_m2(window, land_map.geobox)
            area_m2 = ground.areas_by_value(ids, sizes, classes)
            yield CountedWindow(land_map, area, window, pixels, area_m2, float(sizes.max()))


def _read(land_map: LandMap, area: Labels | None, window: Window) -> NDArray[np.uint8]:
    ids = land_map.read(window)
    if area is not None:
        ids[area.read(window) == IGNORE] = IGNORE
    return ids


def _expected_accuracies(scheme: ClassScheme, expect: Sequence[str]) -> Floats:
    users = np.full(len(scheme.classes), EXPECTED_USERS_ACCURACY)
    for text in expect:
        name, _, share = text.partition("=")
        try:
            index, value = scheme.names.index(name), float(share)
        except ValueError as error:
            raise ConfigError(
                "must be NAME=SHARE, such as building=0.7", where="--expect", got=text,
                wanted=", ".join(scheme.names),
            ) from error  # fmt: skip
        if not 0 < value < 1:
            raise ConfigError("must be between 0 and 1", where=f"--expect {name}", got=value)
        users[index] = value
    return users


def _candidates(
    strata: Strata, index: int, share: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Numbers of pixels of a class, in random order; spare ones where pixels differ in size.

    Pixels of a class are numbered in reading order, so that no list of them is ever in memory.
    """
    count = int(strata.pixels[index])
    if share == 0:
        return np.empty(0, dtype=np.int64)
    largest = max(each.largest_m2 for each in strata.windows)
    per_kept = largest * count / float(strata.area_m2[index])  # candidates per point kept
    many = share if per_kept < 1 + 1e-6 else int(2 * per_kept * share) + 50
    return rng.choice(count, size=min(many, count), replace=False)


def _located(strata: Strata, wanted: list[NDArray[np.int64]]) -> Iterator[Floats]:
    """(n, 5) class, position among the candidates, x, y and pixel area, window by window."""
    before = np.zeros(len(strata.scheme.classes), dtype=np.int64)
    for counted in track(strata.windows, label="points", total=len(strata.windows)):
        hits = [
            np.flatnonzero((numbers >= start) & (numbers < start + count))
            for numbers, start, count in zip(wanted, before, counted.pixels, strict=True)
        ]
        if any(len(each) for each in hits):
            ids = counted.read()
            for index, order in enumerate(hits):
                if len(order):
                    numbers = wanted[index][order] - before[index]
                    pixels = np.flatnonzero(ids == index)[numbers]
                    yield _points(strata, counted, index, order, pixels)
        before += counted.pixels


def _points(
    strata: Strata,
    counted: CountedWindow,
    index: int,
    order: NDArray[np.intp],
    pixels: NDArray[np.intp],
) -> Floats:
    rows, cols = np.divmod(pixels, counted.window.width)
    geobox = counted.land_map.geobox
    at = (cols + counted.window.col + 0.5, rows + counted.window.row + 0.5)
    a, b, c, d, e, f = tuple(geobox.affine)[:6]
    x, y = a * at[0] + b * at[1] + c, d * at[0] + e * at[1] + f
    crs = grid.crs_of(geobox).proj
    if crs != strata.crs:
        x, y = pyproj.Transformer.from_crs(crs, strata.crs, always_xy=True).transform(x, y)
    sizes = known_areas_m2(counted.window, geobox)
    area = np.broadcast_to(sizes, counted.window.shape)[rows, cols]
    return np.stack([np.full(len(order), float(index)), order.astype(float), x, y, area], axis=1)
