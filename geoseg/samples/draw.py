"""A stratified random sample of the pixels of maps of any size."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyproj
from numpy.typing import NDArray

from geoseg import grid, ground
from geoseg.accuracy import Floats
from geoseg.accuracy.stratified import allocate, sample_size
from geoseg.classes import IGNORE, ClassScheme
from geoseg.errors import ConfigError, GridError, InputError
from geoseg.grid import Window
from geoseg.maps.sides import Classes, LandMap, open_area
from geoseg.progress import track
from geoseg.steps.evaluate import EvaluateOptions
from geoseg.steps.evaluate.counters import known_areas_m2
from geoseg.steps.evaluate.windows import WINDOW_PX

logger = logging.getLogger(__name__)
LIKELY = 0.8
"""User's accuracy that is planned for where nobody has an idea."""


@dataclass(frozen=True, eq=False)
class Place:
    """A window of a map, and what it holds of each class.

    Attributes:
        land_map: the map.
        area: where to draw, on its grid; everywhere when None.
        window: the window.
        pixels: (classes,) pixels of each class.
        area_m2: (classes,) their area.
        largest_m2: the largest pixel's area.
    """

    land_map: LandMap
    area: Classes | None
    window: Window
    pixels: NDArray[np.int64]
    area_m2: Floats
    largest_m2: float

    def read(self) -> NDArray[np.uint8]:
        """Class ids, 255 where nothing is drawn."""
        return _read(self.land_map, self.area, self.window)


@dataclass(frozen=True, eq=False)
class Strata:
    """The classes of maps as strata.

    Attributes:
        scheme: the classes.
        crs: of the first map.
        places: windows that hold something.
        pixels: (classes,) pixels of each class.
        area_m2: (classes,) their area.
    """

    scheme: ClassScheme
    crs: pyproj.CRS
    places: list[Place]
    pixels: NDArray[np.int64]
    area_m2: Floats

    @property
    def weights(self) -> Floats:
        """(classes,) share of the maps' area."""
        return self.area_m2 / self.area_m2.sum()


@dataclass(frozen=True, eq=False)
class Drawn:
    """Points, in random order.

    Attributes:
        x: easting or longitude of the pixel's centre, in the CRS of the strata.
        y: northing or latitude.
        ids: class on the map.
    """

    x: Floats
    y: Floats
    ids: NDArray[np.int64]


def strata_of(maps: list[LandMap], options: EvaluateOptions) -> Strata:
    """Measure what each class covers.

    Raises:
        GridError: a map's CRS is not tied to the ground.
        InputError: there is nothing to draw from.
    """
    if options.chips is not None:
        raise ConfigError(
            "a sample is drawn from the whole map", where="--chips", fix="limit it with --area"
        )
    places = [place for each in maps for place in _places(each, options)]
    if not places:
        raise InputError("there is no mapped pixel to draw", where=maps[0].path)
    area_m2 = np.sum([each.area_m2 for each in places], axis=0)
    if np.isnan(area_m2).any():
        raise GridError(
            "its areas are unknown: the CRS is not tied to the ground",
            where=maps[0].path,
            got=grid.crs_of(maps[0].geobox).proj.name,
            wanted="a geographic or projected CRS",
            fix="name the right one: --crs EPSG:32633",
        )
    pixels = np.sum([each.pixels for each in places], axis=0)
    crs = grid.crs_of(maps[0].geobox).proj
    return Strata(maps[0].scheme, crs, places, pixels, area_m2)


def plan(
    strata: Strata, points: int | None, standard_error: float | None, options: EvaluateOptions
) -> NDArray[np.int64]:
    """How many points each class gets.

    Raises:
        ConfigError: neither a number nor a standard error is given, or the number is too small.
    """
    if points is None:
        if standard_error is None or not 0 < standard_error < 0.5:
            raise ConfigError(
                "how large the sample shall be is not said",
                got=standard_error,
                fix="--draw-sample 500, or --standard-error 0.01",
            )
        points = sample_size(strata.weights, _expected(strata.scheme, options), standard_error)
    there = int((strata.pixels > 0).sum())
    if points < 2 * there:
        raise ConfigError(
            "a sample needs two points of every class", got=points, wanted=f"at least {2 * there}"
        )
    shares = allocate(points, strata.weights, strata.pixels)
    for name, weight, share in zip(strata.scheme.names, strata.weights, shares, strict=True):
        logger.info("%s: %.2f %% of the map, %d points", name, 100 * weight, share)
    return shares


def draw(strata: Strata, shares: NDArray[np.int64], seed: int) -> Drawn:
    """Draw pixels, all of a class with equal chance per area, none twice.

    Where pixels are of different size, candidates are drawn by number and kept with a chance that
    is proportional to their area.
    """
    rng = np.random.default_rng(seed)
    wanted = [
        _candidates(strata, index, int(share), rng) for index, share in enumerate(shares.tolist())
    ]
    rows = list(_located(strata, wanted))
    ids, order, x, y, area = np.concatenate(rows).T
    largest = max(each.largest_m2 for each in strata.places)
    kept = []
    for index, share in enumerate(shares.tolist()):
        mine = np.flatnonzero(ids == index)
        mine = mine[np.argsort(order[mine])]
        lucky = rng.random(len(mine)) * largest <= area[mine] * (1 + 1e-9)
        kept.append(np.append(mine[lucky], mine[~lucky])[:share])
    chosen = rng.permutation(np.concatenate(kept))
    return Drawn(x[chosen], y[chosen], ids[chosen].astype(np.int64))


def _places(land_map: LandMap, options: EvaluateOptions) -> Iterator[Place]:
    area = None if options.area is None else open_area(options.area, land_map.geobox)
    classes = len(land_map.scheme.classes)
    windows = list(grid.split(grid.whole(land_map.geobox.shape), WINDOW_PX))
    for window in track(windows, label="windows", total=len(windows)):
        ids = _read(land_map, area, window)
        pixels = np.bincount(ids.ravel(), minlength=classes)[:classes]
        if pixels.any():
            sizes = known_areas_m2(window, land_map.geobox)
            area_m2 = ground.areas_by_value(ids, sizes, classes)
            yield Place(land_map, area, window, pixels, area_m2, float(sizes.max()))


def _read(land_map: LandMap, area: Classes | None, window: Window) -> NDArray[np.uint8]:
    ids = land_map.read(window)
    if area is not None:
        ids[area.read(window) == IGNORE] = IGNORE
    return ids


def _expected(scheme: ClassScheme, options: EvaluateOptions) -> Floats:
    users = np.full(len(scheme.classes), LIKELY)
    for text in options.expect:
        name, _, share = text.partition("=")
        try:
            index, value = scheme.names.index(name), float(share)
        except ValueError as error:
            raise ConfigError(
                "say NAME=SHARE, such as building=0.7", where="--expect", got=text,
                wanted=", ".join(scheme.names),
            ) from error  # fmt: skip
        if not 0 < value < 1:
            raise ConfigError("is no share", where=f"--expect {name}", got=value, wanted="0 to 1")
        users[index] = value
    return users


def _candidates(
    strata: Strata, index: int, share: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Numbers of pixels of a class, in random order; more than needed where sizes differ."""
    count = int(strata.pixels[index])
    if share == 0:
        return np.empty(0, dtype=np.int64)
    largest = max(each.largest_m2 for each in strata.places)
    spare = largest * count / float(strata.area_m2[index])
    many = share if spare < 1 + 1e-6 else int(2 * spare * share) + 50
    return rng.choice(count, size=min(many, count), replace=False)


def _located(strata: Strata, wanted: list[NDArray[np.int64]]) -> Iterator[Floats]:
    """(n, 5) class, place in the order of candidates, x, y and pixel area, window by window."""
    before = np.zeros(len(strata.scheme.classes), dtype=np.int64)
    for place in track(strata.places, label="points", total=len(strata.places)):
        hits = [
            np.flatnonzero((numbers >= start) & (numbers < start + count))
            for numbers, start, count in zip(wanted, before, place.pixels, strict=True)
        ]
        if any(len(each) for each in hits):
            ids = place.read()
            for index, order in enumerate(hits):
                if len(order):
                    numbers = wanted[index][order] - before[index]
                    pixels = np.flatnonzero(ids == index)[numbers]
                    yield _points(strata, place, index, order, pixels)
        before += place.pixels


def _points(
    strata: Strata, place: Place, index: int, order: NDArray[np.intp], pixels: NDArray[np.intp]
) -> Floats:
    rows, cols = np.divmod(pixels, place.window.width)
    geobox = place.land_map.geobox
    at = (cols + place.window.col + 0.5, rows + place.window.row + 0.5)
    a, b, c, d, e, f = tuple(geobox.affine)[:6]
    x, y = a * at[0] + b * at[1] + c, d * at[0] + e * at[1] + f
    crs = grid.crs_of(geobox).proj
    if crs != strata.crs:
        x, y = pyproj.Transformer.from_crs(crs, strata.crs, always_xy=True).transform(x, y)
    sizes = known_areas_m2(place.window, geobox)
    area = np.broadcast_to(sizes, place.window.shape)[rows, cols]
    return np.stack([np.full(len(order), float(index)), order.astype(float), x, y, area], axis=1)
