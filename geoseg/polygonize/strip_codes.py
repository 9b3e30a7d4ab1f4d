"""Strips of a class raster as kernels take them: one integer code per pixel, outside all around."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geoseg.classes import IGNORE
from geoseg.grid import Window, WindowSource
from geoseg.polygonize.runs import Runs, find_runs, group_faces, label_faces

if TYPE_CHECKING:
    from affine import Affine

STRIP_PIXELS = 1 << 23
STRIP_ROWS = 512
"""Strips hold about 8 megapixels, in multiples of the block height of geoseg's own files: a block
that two strips shared would be decoded twice."""

SHIFT = 2
"""Bits for the parity of the mesh cell of `split_at`, down and across, that a pixel lies in."""


@dataclass(frozen=True, eq=False)
class Strip:
    """A unit of work: some rows of a raster.

    Attributes:
        classes: the class raster.
        confidence: percentages on the same grid.
        window: its rows, over the full width.
        connectivity: 4 or 8.
        split_at: cut regions where coordinates are multiples of this, in CRS units.
        recoded: new class code of each region of the strip, in the order of first pixels.
    """

    classes: WindowSource
    confidence: WindowSource | None
    window: Window
    connectivity: int
    split_at: float | None = None
    recoded: NDArray[Any] | None = None

    def __str__(self) -> str:
        return f"{self.classes.name}, rows {self.window.row} to {self.window.stop[0]}"


class CodeRows(NamedTuple):
    """Rows of codes with a column of outside on the left and on the right.

    Attributes:
        codes: (n, width + 2) class codes; the largest number of the type is outside.
        first: first row, counted in the raster; -1 for a row of outside above it.
        start: first row whose pixels are counted; others are context.
        stop: the row after the last counted one.
        height: number of rows of the raster.
    """

    codes: NDArray[Any]
    first: int
    start: int
    stop: int
    height: int


def windows(shape: tuple[int, int], rows: int | None) -> Iterator[Window]:
    """Cut a raster into strips of ``rows`` rows; by default of about `STRIP_PIXELS` pixels."""
    height, width = shape
    if rows is None:
        rows = max(STRIP_PIXELS // width // STRIP_ROWS, 1) * STRIP_ROWS
    for row in range(0, height, rows):
        yield Window(row, 0, min(rows, height - row), width)


def outside_of(codes: NDArray[Any]) -> int:
    """The code of pixels that belong to no region."""
    return int(np.iinfo(codes.dtype).max)


def read_rows(strip: Strip) -> CodeRows:
    """Read a strip, with a row of outside added where the raster begins or ends."""
    window, height = strip.window, strip.classes.geobox.shape[0]
    above, below = int(window.row == 0), int(window.stop[0] == height)
    codes = _read(strip.classes, window, above, below)
    rows = CodeRows(codes, window.row - above, above, above + window.height, height)
    if strip.recoded is not None:
        runs, _, group = label(codes, strip.connectivity)
        _paint(codes, runs, strip.recoded[group])
    if strip.split_at is None:
        return rows
    affine = strip.classes.geobox.affine
    return CodeRows(_sided(rows, affine, strip.split_at), rows.first, rows.start, rows.stop, height)


def seam_rows(last: NDArray[Any], first: NDArray[Any], row: int, height: int) -> CodeRows:
    """The last row of a strip and the first of the next one, ``row``; strips count their pixels."""
    return CodeRows(np.stack([last, first]), row - 1, 0, 0, height)


def values_of(codes: NDArray[Any], split_at: float | None) -> NDArray[Any]:
    """The class values of codes."""
    return codes if split_at is None else codes >> SHIFT


def label(codes: NDArray[Any], connectivity: int) -> tuple[Runs, NDArray[Any], NDArray[np.int32]]:
    """The runs of some rows, the code of each run, and the region of each face."""
    row, start, code = find_runs(codes)
    face, faces = label_faces(row, start, code, outside_of(codes))
    if connectivity == 8:
        return Runs(row, start, face), code, group_faces(row, start, code, face, faces)
    return Runs(row, start, face), code, np.arange(faces, dtype=np.int32)


def _read(source: WindowSource, window: Window, above: int, below: int) -> NDArray[Any]:
    block = source.read(window)
    pixels = block.pixels[0]
    dtype = np.uint8 if pixels.dtype == np.uint8 else np.int32
    codes = np.empty((above + window.height + below, window.width + 2), dtype)
    codes.fill(outside_of(codes))
    own = codes[above : above + window.height, 1:-1]
    inside = block.valid if dtype == np.uint8 else block.valid & (pixels != IGNORE)
    np.copyto(own, pixels, where=inside, casting="unsafe")
    return codes


def _sided(rows: CodeRows, affine: Affine, length: float) -> NDArray[np.int32]:
    """Codes with two more bits that differ between neighbouring cells of the mesh."""
    height, width = rows.codes.shape
    across = np.arange(width) - 0.5
    down = np.arange(height) + 0.5 + rows.first
    right = _along(affine, affine.a, affine.d) + across * np.hypot(affine.a, affine.d)
    below = _along(affine, affine.b, affine.e) + down * np.hypot(affine.b, affine.e)
    sides = (np.floor(at / length).astype(np.int64).astype(np.int32) & 1 for at in (below, right))
    row_side, col_side = sides
    codes = rows.codes.astype(np.int32) << SHIFT
    codes |= row_side[:, None] << 1 | col_side
    codes[rows.codes == outside_of(rows.codes)] = outside_of(codes)
    return codes


def _along(affine: Affine, x: float, y: float) -> float:
    """Distance of the grid's corner from the CRS's origin, along the direction (x, y)."""
    return float((affine.c * x + affine.f * y) / np.hypot(x, y))


@njit(nogil=True, cache=True)
def _paint(codes: NDArray[Any], runs: Runs, recoded: NDArray[Any]) -> None:
    """Give the faces of ``codes`` new class codes, in place."""
    row, start, face = runs
    for i in range(len(codes)):
        for k in range(row[i], row[i + 1] - 1):
            if face[k] >= 0:
                codes[i, start[k] : start[k + 1]] = recoded[face[k]]
