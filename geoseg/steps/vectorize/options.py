"""Options of `vectorize`, and the columns of the layer it writes."""

from __future__ import annotations

import re
from math import inf
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat

from geoseg.job.pool import WorkerOptions

COLUMNS = (
    "class_id", "class_name", "area_m2", "perimeter_m", "confidence", "n_pixels", "touches_edge",
    "source", "run",
)  # fmt: skip
TAKEN = (*COLUMNS, "fid", "ogc_fid", "id", "geom", "geometry", "bbox")
"""Names no statistic can have: geoseg's own columns, and those the file formats add."""


def _simplification(text: str) -> str:
    if not re.fullmatch(r"(dp|vw):(\d+\.?\d*|\.\d+)", text) or not 0 < amount_of(text) < inf:
        raise ValueError(
            "must be dp:METRES, such as dp:2.5, or vw:SQUARE_METRES, such as vw:25, above 0"
        )
    return text


def amount_of(simplify: str) -> float:
    """The number in a simplification: metres or square metres."""
    return float(simplify.partition(":")[2])


def _stats(pairs: tuple[str, ...]) -> tuple[str, ...]:
    names = [pair.partition("=")[0] for pair in pairs]
    for name, pair in zip(names, pairs, strict=True):
        if not re.fullmatch(r"[A-Za-z]\w*=.+", pair, re.ASCII):
            raise ValueError(f"must be NAME=PATH, such as height=dsm.tif, not {pair!r}")
        if name.lower() in TAKEN:
            raise ValueError(f"{name!r} is already a column: choose another name")
    if len({name.lower() for name in names}) < len(names):
        raise ValueError(f"every statistic needs its own name; got {', '.join(names)}")
    return pairs


class VectorizeOptions(WorkerOptions):
    """How regions become polygons, and which columns the polygons have.

    Example:
        >>> import geoseg
        >>> options = geoseg.VectorizeOptions(simplify="dp:10", smooth=2, stat=["nir=nir.tif"])
        >>> geoseg.vectorize("map/classes.tif", "smooth.gpkg", options=options).name
        'smooth.gpkg'
    """

    min_area_m2: FiniteFloat = Field(default=0.0, ge=0)
    """Regions smaller than this are merged into the neighbour with the longest shared boundary; 0
    keeps all."""

    max_hole_m2: FiniteFloat = Field(default=0.0, ge=0)
    """Holes smaller than this are filled by the region around them; 0 keeps all."""

    simplify: Annotated[str, AfterValidator(_simplification)] | None = None
    """Fewer vertices: dp:2.5 moves outlines by up to 2.5 metres (Douglas-Peucker), vw:25 drops
    corners of up to 25 square metres (Visvalingam-Whyatt). Neighbours still share their edges."""

    smooth: int = Field(default=0, ge=0, le=5)
    """How many times corners are cut (Chaikin), to round outlines. Neighbours still share their
    edges."""

    split_at: FiniteFloat | None = Field(default=None, gt=0)
    """Cut polygons along a square mesh of this many kilometres in the map's CRS, so that none
    becomes too large to handle."""

    connectivity: Literal[4, 8] = 4
    """4: pixels are connected over their sides; 8: also over their corners."""

    stat: Annotated[tuple[str, ...], AfterValidator(_stats)] = ()
    """Add a column with the mean of a raster over each polygon, as NAME=PATH, such as
    height=dsm.tif; the raster may have another grid and CRS. Repeatable."""

    layer: str = Field(default="landcover", min_length=1)
    """Name of the layer, in formats that have named layers."""

    @property
    def rasters(self) -> dict[str, Path]:
        """The raster of each statistic."""
        pairs = (pair.partition("=") for pair in self.stat)
        return {name: Path(path) for name, _, path in pairs}

    def rooted(self, folder: Path) -> VectorizeOptions:
        """A copy whose paths are taken as relative to ``folder``."""
        stat = tuple(f"{name}={folder / path}" for name, path in self.rasters.items())
        return self.model_copy(update={"stat": stat})
