"""Common names for bands, whatever a scene, a sensor or a file of weights calls them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from geoseg.errors import ModelError

IndexName = Literal["ndvi", "ndwi", "mndwi", "ndmi", "ndbi", "nbr"]

NUMBER = re.compile(r"(SR_|ST_)?B0*(\d+(?:[Aa]|_VCID_\d)?)")
SENTINEL2, LANDSAT_OLI, LANDSAT_TM = "Sentinel-2", "Landsat OLI", "Landsat TM/ETM+"

NUMBERED: dict[str, dict[str, str]] = {
    SENTINEL2: {
        "1": "coastal", "2": "blue", "3": "green", "4": "red", "5": "rededge071",
        "6": "rededge075", "7": "rededge078", "8": "nir", "8A": "nir08", "9": "nir09",
        "10": "cirrus", "11": "swir16", "12": "swir22",
    },
    LANDSAT_OLI: {
        "1": "coastal", "2": "blue", "3": "green", "4": "red", "5": "nir", "6": "swir16",
        "7": "swir22", "8": "pan", "9": "cirrus", "10": "lwir11", "11": "lwir12",
    },
    LANDSAT_TM: {
        "1": "blue", "2": "green", "3": "red", "4": "nir", "5": "swir16", "6": "lwir",
        "6_VCID_1": "lwir", "6_VCID_2": "lwir2", "7": "swir22", "8": "pan",
    },
}  # fmt: skip
"""Common names, as in STAC's eo extension, of the numbered bands of a sensor."""

ALIASES = {
    "r": "red", "g": "green", "b": "blue", "n": "nir", "nearinfra": "nir", "nearinfrared": "nir",
    "infrared": "nir", "swir1": "swir16", "swir2": "swir22", "rededge1": "rededge071",
    "rededge2": "rededge075", "rededge3": "rededge078", "rededge": "rededge071",
    "nirnarrow": "nir08", "narrownir": "nir08", "aerosol": "coastal", "watervapour": "nir09",
    "thermal": "lwir",
}  # fmt: skip

INDICES: dict[IndexName, tuple[str, str]] = {
    "ndvi": ("nir", "red"),
    "ndwi": ("green", "nir"),
    "mndwi": ("green", "swir16"),
    "ndmi": ("nir", "swir16"),
    "ndbi": ("swir16", "nir"),
    "nbr": ("nir", "swir22"),
}
"""Vegetation, water (McFeeters 1996), water (Xu 2006), moisture, built-up (Zha et al. 2003), burns:
(first - second) / (first + second)."""


def common_name(name: str, sensor: str = SENTINEL2) -> str:
    """Find the common name of a band, such as "red" or "swir16"; unknown names become lower case.

    Args:
        name: name in a scene or a file of weights: B04, B8a, SR_B5, near_infra, R. A lower-case
            b1 is a band without a name, as rasters without descriptions have them.
        sensor: key of `NUMBERED`, for names that are numbers.

    Example:
        >>> common_name("B08"), common_name("B8A"), common_name("SR_B5", "Landsat OLI")
        ('nir', 'nir08', 'nir')
    """
    numbered = NUMBER.fullmatch(name)
    if numbered:
        return NUMBERED.get(sensor, {}).get(numbered[2].upper(), name.lower())
    word = re.sub(r"[^a-z0-9]", "", name.lower())
    return ALIASES.get(word, word)


def position(name: str, among: Sequence[str]) -> int | None:
    """Find a band among others by its name or its common name; None if it is not there.

    Nor is it there if several have that common name: one of them would be a guess.

    Numbers are compared with numbers only, as the sensor is not known here: band 5 of Sentinel-2
    is not band 5 of Landsat.

    Example:
        >>> position("B4", ["blue", "red"]), position("R", ["b1"]), position("B8A", ["B08", "B8a"])
        (1, None, 1)
    """
    if name in among:
        return among.index(name)
    alike = [at for at, other in enumerate(among) if _is_alike(name, other)]
    return alike[0] if len(alike) == 1 else None


def _is_alike(name: str, other: str) -> bool:
    numbers = _number(name), _number(other)
    if all(numbers):
        return numbers[0] == numbers[1]
    return common_name(name) == common_name(other)


def _number(name: str) -> tuple[str, str] | None:
    found = NUMBER.fullmatch(name)
    return (found[1] or "", found[2].upper()) if found else None


def bands_of(index: IndexName, names: Sequence[str], where: str) -> tuple[str, str]:
    """Find the two bands of an index.

    Args:
        index: name of the index.
        names: band names of a scene; B04 is a band of Sentinel-2, SR_B4 one of Landsat 8 and 9.
        where: the scene, for the error.

    Returns:
        Names of the first and the second band, as the scene has them.

    Raises:
        ModelError: the scene lacks a band.
    """
    sensor = LANDSAT_OLI if any(name.upper().startswith("SR_") for name in names) else SENTINEL2
    known = {common_name(name, sensor): name for name in reversed(names)}
    lacking = [band for band in INDICES[index] if band not in known]
    if lacking:
        raise ModelError(
            f"the index {index} needs a band that is not there",
            where=where,
            got=", ".join(names),
            wanted=", ".join(lacking),
            fix="name the bands, in a YAML file of bands or in the raster's band descriptions",
        )
    first, second = INDICES[index]
    return known[first], known[second]
