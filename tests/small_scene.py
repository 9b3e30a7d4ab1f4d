"""The scene that most tests share: its size, its classes, and how its files are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from numpy.typing import NDArray

import geoseg
from geoseg.classes import ClassScheme

if TYPE_CHECKING:
    import shapely

NORTH_UP = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
HEIGHT, WIDTH = 96, 128

SCHEME = ClassScheme.model_validate(
    {
        "column": "kind",
        "classes": [
            {"name": "land", "color": "#f2efe9", "values": ["field", "wood"]},
            {"name": "building", "color": "#d7191c", "values": ["house"]},
        ],
    }
)
TINY = geoseg.TileOptions(size=32, block=32, buffer=0, val=0.2, test=0.2)

type MakeRaster = Callable[..., Path]


@dataclass(frozen=True, eq=False)
class SmallScene:
    """A scene of 48 m x 64 m with one building on land and a corner without data.

    Attributes:
        path: 3 bands of uint16, 96 x 128 px of 0.5 m in EPSG:32633, nodata 0.
        pixels: (3, 96, 128), as in the file.
        valid: (96, 128), False in the upper left 16 x 24 px.
        classes: (96, 128): 0 for land, 9504 px; 1 for a building, 2400 px or 600 m2; 255, 384 px.
    """

    path: Path
    pixels: NDArray[np.uint16]
    valid: NDArray[np.bool_]
    classes: NDArray[np.uint8]


def write_labels(path: Path, shapes: list[tuple[str, shapely.Geometry]], crs: str) -> Path:
    """A GeoPackage of polygons in UTM 33N and their kind, in another CRS."""
    import geopandas as gpd

    frame = gpd.GeoDataFrame(
        {"kind": [kind for kind, _ in shapes]}, geometry=[shape for _, shape in shapes], crs=32633
    )
    frame.to_crs(crs).to_file(path, driver="GPKG")
    return path
