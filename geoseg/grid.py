"""Integer windows on a grid: geoseg's one way to name a part of a raster.

A grid is an ``odc.geo.geobox.GeoBox`` (shape, affine transform, CRS; rotated ones too). A window
has row before column, height before width, like the array it slices, and whole numbers only: with
fractional windows, the pixels of neighbouring reads would overlap or leave gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Protocol

from geoseg.errors import GridError

if TYPE_CHECKING:
    import numpy as np
    from affine import Affine
    from numpy.typing import NDArray
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox

SNAP_PX = 1e-4
"""Vertices this near to a pixel's corner are there: rounding of coordinates moves them less."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A rectangle of pixels; it may reach outside the raster it is used on.

    Attributes:
        row: first row; negative above the raster.
        col: first column; negative left of the raster.
        height: number of rows, > 0.
        width: number of columns, > 0.

    Raises:
        GridError: the height or the width is not positive.

    Example:
        >>> Window(0, 0, 96, 128).intersect(Window(64, 100, 64, 64))
        Window(row=64, col=100, height=32, width=28)
    """

    row: int
    col: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height <= 0 or self.width <= 0:
            raise GridError("a window needs pixels", got=f"{self.height} x {self.width}")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def stop(self) -> tuple[int, int]:
        """The first (row, column) below and right of the window."""
        return self.row + self.height, self.col + self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices for an array that starts at (0, 0)."""
        stop_row, stop_col = self.stop
        return slice(self.row, stop_row), slice(self.col, stop_col)

    def expand(self, pixels: int) -> Window:
        """The window grown by ``pixels`` on each side."""
        return Window(
            self.row - pixels,
            self.col - pixels,
            self.height + 2 * pixels,
            self.width + 2 * pixels,
        )

    def intersect(self, other: Window) -> Window | None:
        """The pixels in both windows, or None when there are none."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        height = min(self.stop[0], other.stop[0]) - row
        width = min(self.stop[1], other.stop[1]) - col
        return Window(row, col, height, width) if height > 0 and width > 0 else None

    def relative_to(self, other: Window) -> Window:
        """The same pixels, counted from the corner of ``other``."""
        return Window(self.row - other.row, self.col - other.col, self.height, self.width)

    def transform(self, grid: Affine) -> Affine:
        """The affine transform of the window on a grid with transform ``grid``."""
        return grid @ type(grid).translation(self.col, self.row)


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a raster to compute (``core``), and the pixels needed for it (``read``)."""

    core: Window
    read: Window


class WindowPixels(Protocol):
    """Pixels, and which of them hold data."""

    @property
    def pixels(self) -> NDArray[Any]:
        """(bands, height, width)."""
        ...

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(height, width)."""
        ...


class WindowSource(Protocol):
    """A raster that is read by windows; every ``geoseg.raster.RasterSource`` is one."""

    @property
    def name(self) -> str:
        """Its name in messages."""
        ...

    @property
    def geobox(self) -> GeoBox:
        """Its grid."""
        ...

    def read(self, window: Window) -> WindowPixels:
        """Read a window."""
        ...


def whole(shape: Iterable[int]) -> Window:
    """The window that covers a raster of ``shape`` (height, width)."""
    height, width = shape
    return Window(0, 0, height, width)


def split(area: Window, size: int) -> Iterator[Window]:
    """Cut ``area`` row by row into windows of ``size`` x ``size``; the last ones are smaller.

    The windows partition the area: every pixel is in exactly one.

    Raises:
        GridError: the size is not positive.

    Example:
        >>> [w.shape for w in split(Window(0, 0, 96, 128), 64)]
        [(64, 64), (64, 64), (32, 64), (32, 64)]
    """
    if size <= 0:
        raise GridError("a window size must be positive", got=size)
    stop_row, stop_col = area.stop
    for row in range(area.row, stop_row, size):
        for col in range(area.col, stop_col, size):
            yield Window(row, col, min(size, stop_row - row), min(size, stop_col - col))


def tiles(
    shape: Iterable[int], core: int, halo: int, *, multiple_of: int = 1, area: Window | None = None
) -> Iterator[Tile]:
    """Partition a raster into cores, each with the halo the model needs around it.

    Cores and halo are multiples of the model's stride, so that every window starts on the model's
    own pooling grid; that makes tiled prediction equal to whole-image prediction. Reads stop at
    the raster's edge, rounded up to the stride, as a whole-image pass would.

    Args:
        shape: (height, width) of the raster.
        core: side of a core in pixels.
        halo: pixels of context on each side of a core.
        multiple_of: the model's stride.
        area: the part of the raster to tile; its corner must lie on the core grid.

    Returns:
        Tiles row by row.

    Raises:
        GridError: ``core``, ``halo`` or the corner of ``area`` is off the stride grid, or the halo
            is negative.

    Example:
        >>> [t.read for t in tiles((96, 128), 64, 8, multiple_of=8)][0]
        Window(row=0, col=0, height=72, width=72)
    """
    everything = whole(shape)
    area = area or everything
    if halo < 0:
        raise GridError("the halo is negative", got=halo)
    for name, value in (("core", core), ("halo", halo), ("row", area.row), ("col", area.col)):
        if value % multiple_of:
            raise GridError(
                f"{name} is not a multiple of the model's stride",
                got=value,
                wanted=f"a multiple of {multiple_of}",
            )
    padded = whole(round_up(side, multiple_of) for side in everything.shape)
    for window in split(area, core):
        seen = Window(
            window.row,
            window.col,
            round_up(window.height, multiple_of),
            round_up(window.width, multiple_of),
        ).expand(halo)
        read = seen.intersect(padded)
        assert read is not None, "a core lies inside its raster"
        yield Tile(window, read)


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple of ``multiple`` that is at least ``value``."""
    return ceil(value / multiple) * multiple


def crop(geobox: GeoBox, window: Window) -> GeoBox:
    """The grid of ``window`` on the grid ``geobox``; it may reach outside."""
    from odc.geo.geobox import GeoBox

    return GeoBox(window.shape, window.transform(geobox.affine), geobox.crs)


def crs_of(geobox: GeoBox) -> CRS:
    """The CRS of a grid; every opened source has one.

    Raises:
        GridError: the grid has no CRS.
    """
    if geobox.crs is None:
        raise GridError(
            "a grid without a CRS cannot be placed on the ground",
            wanted="a geographic or projected CRS",
            fix="name the right one: --crs EPSG:32633",
        )
    return geobox.crs


def bounds(geobox: GeoBox) -> tuple[float, float, float, float]:
    """(west, south, east, north) of a grid, in its CRS."""
    box = geobox.extent.boundingbox
    return box.left, box.bottom, box.right, box.top


def misfit(grid: GeoBox, other: GeoBox) -> str | None:
    """Say how ``other`` departs from ``grid``, or None where they are the same pixels.

    Corners may differ by up to a thousandth of a pixel: files written by different programs do.
    Three corners fix an affine transform; two would let a transposed grid pass.
    """
    if grid.crs != other.crs:
        return f"CRS {other.crs} instead of {grid.crs}"
    if tuple(grid.shape) != tuple(other.shape):
        return (
            f"{other.shape[0]} x {other.shape[1]} px instead of {grid.shape[0]} x {grid.shape[1]}"
        )
    to_pixels = ~grid.affine @ other.affine
    for corner in ((0, 0), (other.shape[1], 0), (other.shape[1], other.shape[0])):
        x, y = to_pixels @ corner
        if max(abs(x - corner[0]), abs(y - corner[1])) > 1e-3:
            return f"shifted by ({y - corner[1]:.3f}, {x - corner[0]:.3f}) px"
    return None


def to_pixels(points: NDArray[np.float64], geobox: GeoBox) -> NDArray[np.float64]:
    """(n, 2) x and y to columns and rows from the grid's corner; whole where they nearly are."""
    import numpy as np

    inverse = ~geobox.affine
    x, y = points.T
    cells = np.stack(
        [inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f],
        axis=1,
    )
    whole = np.rint(cells)
    return np.where(np.abs(cells - whole) < SNAP_PX, whole, cells)
