"""The layout of the land: cells, blocks, and the roads between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import Voronoi
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from geoseg.synthetic.shapes import Points, polygons, ripple, rounded

SPACING_M = 500.0
MARGIN_M = 1100.0
CELL_M = (1920.0, 2560.0)
"""North-south and east-west side of a cell: each has a village, a lake and a quarry."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A part of the landscape; ``scale`` shrinks its content in a small cell."""

    centre: Points
    size: Points

    @property
    def scale(self) -> float:
        """Side of the cell over the side of a full one."""
        return float(np.sqrt(self.size.prod() / np.prod(CELL_M)))

    @property
    def box(self) -> Polygon:
        """The cell as a polygon."""
        return shapely.box(*(self.centre - self.size / 2), *(self.centre + self.size / 2))


@dataclass(frozen=True)
class Network:
    """Crossroads, the ways between them, and the blocks of land that the ways enclose.

    Attributes:
        nodes: crossroads, (n, 2) in metres.
        edges: the two nodes of each way, (m, 2).
        lines: the course of each way, m lines.
        blocks: the land between, a partition.
    """

    nodes: Points
    edges: NDArray[np.int64]
    lines: NDArray[np.object_]
    blocks: list[Polygon]

    def roads(
        self,
        rng: np.random.Generator,
        places: Sequence[Points],
        villages: BaseGeometry,
        water: BaseGeometry,
    ) -> tuple[list[LineString], list[LineString]]:
        """Choose main roads between ``places`` and out of the scene, and side roads.

        Main roads cross water on short bridges; side roads do not cross it at all. In villages
        every way is a road.
        """
        wet_m = shapely.length(shapely.intersection(self.lines, water.buffer(30)))
        main = self._main(places, wet_m)
        wish = rng.random(len(self.lines)) < 0.42
        wish |= shapely.intersects(self.lines, villages)
        side = (wish & (wet_m == 0)).nonzero()[0]
        trunk = shapely.union_all(self.lines[main])
        chosen = shapely.union_all(self.lines[np.union1d(main, side)])
        chains = shapely.get_parts(shapely.line_merge(chosen))
        curves = np.array([rounded(chain) for chain in chains], dtype=object)
        trunk_m = shapely.length(shapely.intersection(chains, trunk.buffer(1)))
        is_main = trunk_m > shapely.length(chains) / 2
        return list(curves[is_main]), list(curves[~is_main])

    def _main(self, places: Sequence[Points], wet_m: NDArray[np.float64]) -> NDArray[np.int64]:
        """The ways on the shortest paths from each place to its neighbours and outwards."""
        cost = shapely.length(self.lines) + 6 * wet_m + 1e5 * (wet_m > 200)
        start, end = self.edges.T
        count = len(self.nodes)
        graph = csr_array((cost, (start, end)), shape=(count, count))
        homes = [self._nearest(place) for place in places]
        _, before = dijkstra(graph, directed=False, indices=homes, return_predecessors=True)
        number = {(min(edge), max(edge)): i for i, edge in enumerate(self.edges.tolist())}
        used = {
            number[step]
            for home, back in zip(homes, before.tolist(), strict=True)
            for goal in (*homes, *self._gates(home))
            for step in _steps(back, goal)
        }
        return np.array(sorted(used), dtype=np.int64)

    def _gates(self, home: int) -> list[int]:
        """Nodes beyond the west, east, south and north edge, level with ``home``."""
        low, high = self.nodes.min(axis=0), self.nodes.max(axis=0)
        x, y = self.nodes[home]
        ends = ((low[0], y), (high[0], y), (x, low[1]), (x, high[1]))
        return [self._nearest(np.array(end)) for end in ends]

    def _nearest(self, place: Points) -> int:
        return int(np.argmin(np.hypot(*(self.nodes - place).T)))


def _steps(back: Sequence[int], goal: int) -> Iterator[tuple[int, int]]:
    """The ways to ``goal``, lower node first; ``back`` leads towards the start, which has < 0."""
    while back[goal] >= 0:
        yield min(goal, back[goal]), max(goal, back[goal])
        goal = back[goal]


def draw_network(rng: np.random.Generator, height_m: float, width_m: float) -> Network:
    """Divide land into blocks of about a quarter of a square kilometre, beyond the edges too.

    The blocks are the Voronoi cells of a jittered grid, bent so that no way is straight.
    """
    xs = np.arange(-MARGIN_M, width_m + MARGIN_M, SPACING_M)
    ys = np.arange(-MARGIN_M, height_m + MARGIN_M, SPACING_M)
    seeds = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    seeds = seeds + rng.uniform(-0.36, 0.36, seeds.shape) * SPACING_M
    diagram = Voronoi(seeds)
    edges = np.array([ridge for ridge in diagram.ridge_vertices if -1 not in ridge])
    far = np.array([width_m, height_m]) + MARGIN_M
    inside = (diagram.vertices > -MARGIN_M) & (diagram.vertices < far)
    edges = edges[inside.all(axis=1)[edges].all(axis=1)]
    kept, numbers = np.unique(edges, return_inverse=True)
    bend, corners = ripple(rng, 45), diagram.vertices[kept]
    straight = shapely.linestrings(corners[numbers.reshape(edges.shape)])
    lines = shapely.transform(shapely.segmentize(straight, 30), bend)
    frame = shapely.box(0, 0, width_m, height_m)
    blocks = [each for each in polygons(shapely.polygonize(list(lines))) if each.intersects(frame)]
    return Network(bend(corners), numbers.reshape(edges.shape), lines, blocks)


def draw_cells(height_m: float, width_m: float) -> list[Cell]:
    """Divide the landscape into cells of about `CELL_M`, at least one."""
    rows, cols = max(1, round(height_m / CELL_M[0])), max(1, round(width_m / CELL_M[1]))
    size = np.array([width_m / cols, height_m / rows])
    return [Cell(size * (col + 0.5, row + 0.5), size) for row in range(rows) for col in range(cols)]
