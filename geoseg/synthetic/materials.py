"""The materials of the demo landscape: classes, label values and spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Spectrum = tuple[float, float, float, float]
"""Surface reflectance, 0 to 1, in blue, green, red and near infrared."""


@dataclass(frozen=True, slots=True)
class Material:
    """One label value and its appearance from above.

    Attributes:
        spectra: reflectances, one of which each polygon takes.
        spread: relative deviation of brightness between polygons.
        mottle: relative deviation within a polygon.
        rows: relative strength of tramlines.
        row_m: distance between tramlines, in metres.
        height_m: height over the ground.
        trees: share of the ground under tree crowns.
        crown_m: height of a tree's crown.
    """

    spectra: tuple[Spectrum, ...]
    spread: float = 0.08
    mottle: float = 0.05
    rows: float = 0.0
    row_m: float = 24.0
    height_m: float = 0.0
    trees: float = 0.0
    crown_m: float = 5.5


@dataclass(frozen=True, slots=True)
class Cover:
    """One land-cover class: its colour on the map, its materials, and who surveyed it."""

    name: str
    color: str
    source: str
    materials: dict[str, Material]


_ROOFS: tuple[Spectrum, ...] = (
    (0.062, 0.080, 0.200, 0.250),
    (0.055, 0.070, 0.165, 0.205),
    (0.072, 0.098, 0.240, 0.285),
    (0.066, 0.066, 0.070, 0.086),
    (0.265, 0.272, 0.278, 0.290),
)

COVERS = (
    Cover(
        "cropland",
        "#f0d264",
        "farm survey",
        {
            "wheat": Material(
                ((0.030, 0.066, 0.036, 0.440), (0.036, 0.078, 0.050, 0.420)), rows=0.16
            ),
            "barley": Material(((0.066, 0.118, 0.136, 0.345),), rows=0.12, row_m=21.0),
            "maize": Material(
                ((0.068, 0.100, 0.120, 0.265), (0.048, 0.086, 0.078, 0.370)),
                rows=0.14,
                row_m=9.0,
            ),
            "rapeseed": Material(((0.044, 0.142, 0.124, 0.430),), rows=0.10),
            "sugar beet": Material(((0.032, 0.090, 0.040, 0.530),), rows=0.12, row_m=27.0),
        },
    ),
    Cover(
        "grassland",
        "#b2df6a",
        "farm survey",
        {
            "meadow": Material(
                ((0.042, 0.084, 0.064, 0.295), (0.048, 0.092, 0.078, 0.275)), mottle=0.11
            ),
            "pasture": Material(((0.046, 0.088, 0.072, 0.262),), mottle=0.15, trees=0.006),
            "garden": Material(
                ((0.044, 0.080, 0.062, 0.275), (0.050, 0.086, 0.072, 0.262)),
                spread=0.05,
                mottle=0.16,
                trees=0.09,
            ),
        },
    ),
    Cover(
        "bare soil",
        "#b4845a",
        "farm survey",
        {
            "ploughed": Material(
                (
                    (0.058, 0.084, 0.118, 0.168),
                    (0.074, 0.106, 0.148, 0.205),
                    (0.046, 0.066, 0.094, 0.136),
                ),
                mottle=0.09,
                rows=0.07,
                row_m=12.0,
            ),
            "quarry": Material(((0.150, 0.190, 0.230, 0.280),), mottle=0.22),
        },
    ),
    Cover(
        "forest",
        "#2e7d3a",
        "forest inventory",
        {
            "broadleaf": Material(
                ((0.026, 0.052, 0.030, 0.370), (0.029, 0.058, 0.034, 0.400)),
                spread=0.05,
                height_m=11.0,
                trees=1.0,
            ),
            "conifer": Material(
                ((0.021, 0.036, 0.023, 0.230), (0.023, 0.040, 0.025, 0.255)),
                spread=0.05,
                height_m=13.0,
                trees=1.0,
                crown_m=7.0,
            ),
        },
    ),
    Cover(
        "water",
        "#3c8dcc",
        "hydrography",
        {
            "river": Material(((0.056, 0.070, 0.052, 0.026),), spread=0.04),
            "stream": Material(((0.052, 0.064, 0.048, 0.032),), spread=0.04),
            "lake": Material(
                ((0.036, 0.046, 0.026, 0.012), (0.046, 0.066, 0.040, 0.018)), mottle=0.07
            ),
        },
    ),
    Cover(
        "road",
        "#55565c",
        "road register",
        {
            "main road": Material(((0.098, 0.106, 0.112, 0.126),), spread=0.04, mottle=0.04),
            "side road": Material(((0.124, 0.136, 0.148, 0.170),), spread=0.06),
            "street": Material(((0.118, 0.126, 0.132, 0.150),), spread=0.06, mottle=0.07),
        },
    ),
    Cover(
        "building",
        "#d7263d",
        "cadastre",
        {
            "house": Material(_ROOFS, spread=0.10, mottle=0.04, height_m=8.0),
            "barn": Material(_ROOFS[1:], spread=0.12, mottle=0.04, height_m=10.0),
        },
    ),
)
"""In drawing order: a later class covers an earlier one."""

MATERIALS = {value: each for cover in COVERS for value, each in cover.materials.items()}
CLASS_IDS = {value: i for i, cover in enumerate(COVERS) for value in cover.materials}


def class_file() -> dict[str, Any]:
    """The content of ``classes.yaml`` for the demo's labels."""
    return {
        "column": "landcover",
        "classes": [
            {"name": each.name, "color": each.color, "values": list(each.materials)}
            for each in COVERS
        ],
        "unmapped": "error",
        "outside": "ignore",
    }
