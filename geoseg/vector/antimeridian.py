"""Polygons in longitude and latitude that cross the antimeridian or hold a pole, cut in two.

RFC 7946 (3.1.9) wants no polygon to cross the antimeridian. GDAL's own way there does nothing to
longitudes beyond 180, and leaves gaps in some polar projections, so rings are followed here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

WORLD = shapely.box(-180, -90, 180, 90)
POLE = 90 - 1e-9


def cut(geometries: NDArray[Any]) -> NDArray[Any]:
    """Cut polygons so that their longitudes lie from -180 to 180, without a jump between them.

    Args:
        geometries: (n,) Polygons and MultiPolygons. Their edges may jump from 180 to -180, or reach
            beyond; an honest edge spans less than 180 degrees. Shells run
            counter-clockwise on the ground, holes clockwise.

    Returns:
        (n,) Polygons and MultiPolygons; the same objects where there was nothing to cut.

    Example:
        >>> across = shapely.Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)])
        >>> shapely.bounds(shapely.get_parts(cut(np.array([across]))[0])).tolist()
        [[-180.0, 0.0, -179.0, 1.0], [179.0, 0.0, 180.0, 1.0]]
    """
    done = geometries.copy()
    for i in _crossing(geometries):
        polygons = [_cut(each) for each in shapely.get_parts(geometries[i])]
        parts = shapely.get_parts(polygons)
        done[i] = parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
    return done


def _crossing(geometries: NDArray[Any]) -> NDArray[np.intp]:
    west, _, east, _ = shapely.bounds(geometries).T
    crosses = (west < -180) | (east > 180)
    wide = np.flatnonzero(east - west > 180)
    rings, owner = shapely.get_rings(geometries[wide], return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    jumps = (np.abs(np.diff(points[:, 0])) > 180) & (np.diff(ring) == 0)
    crosses[wide[owner[ring[1:][jumps]]]] = True
    return np.flatnonzero(crosses)


def _cut(polygon: Any) -> Any:
    """The polygon's shell on the world map, without its holes there."""
    shell, *holes = (shapely.get_coordinates(ring) for ring in shapely.get_rings(polygon))
    filled = [_on_the_map(hole[::-1]) for hole in holes]
    return _polygonal(shapely.difference(_on_the_map(shell), shapely.union_all(filled)))


def _on_the_map(ring: NDArray[np.float64]) -> Any:
    """The area inside a ring, brought back between -180 and 180."""
    area = shapely.make_valid(shapely.Polygon(_followed(ring)))
    west, _, east, _ = area.bounds
    turns = 360 * np.arange(np.floor((west + 180) / 360), np.ceil((east + 180) / 360))
    moved = [shapely.affinity.translate(area, -turn) for turn in turns]
    return shapely.union_all([_polygonal(part) for part in shapely.intersection(moved, WORLD)])


def _followed(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """A ring, counter-clockwise on the ground, without jumps; over the pole if it goes round it.

    A pole is a point on the ground and a line on the map: where a ring passes through it, the
    ground on its left says in which direction the map's line runs.
    """
    at_pole = np.abs(ring[:-1, 1]) > POLE
    start = int(np.argmin(at_pole))
    ring, at_pole = np.roll(ring[:-1], -start, axis=0), np.roll(at_pole, -start)
    lon, lat = np.concatenate([ring[~at_pole], ring[:1]]).T
    steps = np.diff(lon)
    over = np.flatnonzero(np.diff(np.flatnonzero(np.append(~at_pole, True))) > 1)
    side = np.sign(lat[over])
    steps -= 360 * np.rint(steps / 360)
    steps[over] = -side * (-side * steps[over] % 360)
    lon = lon[0] + np.concatenate([[0], np.cumsum(steps)])
    turn = lon[-1] - lon[0]
    if abs(turn) > 180:
        over, side = np.append(over, len(steps)), np.append(side, np.sign(turn))
        lon, lat = np.append(lon, lon[0]), np.append(lat, lat[0])
    where = np.repeat(over + 1, 2)
    ends = np.stack([lon[over], lon[over + 1]], axis=1).ravel()
    return np.stack(
        [np.insert(lon, where, ends), np.insert(lat, where, np.repeat(90 * side, 2))], axis=1
    )


def _polygonal(geometry: Any) -> Any:
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.multipolygons(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
