"""The files of a finished map, made from its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from odc.geo.geobox import GeoBox

from geoseg import files, style
from geoseg.classes import IGNORE, ClassScheme
from geoseg.grid import Window
from geoseg.layout import CLASS_FILE, CLASSES, CONFIDENCE, PROBABILITIES, gdal_sidecar
from geoseg.raster.cog import CogSettings, write_cog, write_vrt

PAM = gdal_sidecar(Path(CLASSES)).name
"""GDAL's sidecar (Persistent Auxiliary Metadata): names, colours and histogram of the classes."""


def rasters(*, probabilities: bool) -> tuple[str, ...]:
    """File names of a map's rasters, in the order of the layers in its parts."""
    return (CLASSES, CONFIDENCE, PROBABILITIES) if probabilities else (CLASSES, CONFIDENCE)


def write_map(
    folder: Path,
    work: Path,
    parts: Mapping[Window, Path],
    geobox: GeoBox,
    scheme: ClassScheme,
    facts: Iterable[Mapping[str, Any]],
    *,
    probabilities: bool,
) -> dict[str, Any]:
    """Write the rasters of a map from all its parts, and the class scheme.

    Each raster is a COG, compared with the parts once it is written. All files are made beside the
    parts and renamed together, so an earlier map stays in place until the disk has proved large
    enough for the new one.

    Args:
        folder: the map directory.
        work: the folder below it that holds the parts.
        parts: the part of each window; none where the area of interest meets no region.
        geobox: the grid of the map.
        scheme: the classes.
        facts: pixels by class id, of each part.
        probabilities: whether each class has a layer.

    Returns:
        Pixels without data, and pixels by class name.

    Raises:
        RetryError: the disk is full, or returned other bytes than were written.
    """
    colours = {index: each.rgba for index, each in enumerate(scheme.classes)}
    # Overviews of class ids take the commonest id: an average of ids 1 and 3 is no class.
    settings = (CogSettings("MODE", colours), CogSettings("AVERAGE"), CogSettings("AVERAGE"))
    bands = (
        {1: "class"},
        {2: "confidence in percent"},
        {3 + i: f"{each.name} in percent" for i, each in enumerate(scheme.classes)},
    )
    names = rasters(probabilities=probabilities)
    for name, band, setting in zip(names, bands, settings, strict=False):
        vrt = work / f"{Path(name).stem}.vrt"
        write_vrt(vrt, parts, geobox, band, setting)
        write_cog(vrt, work / name, setting)
    pixels: Counter[int] = Counter()
    for each in facts:
        pixels.update({int(value): count for value, count in each["pixels"].items()})
    height, width = geobox.shape
    pixels[IGNORE] += height * width - pixels.total()
    files.write_bytes(work / PAM, style.raster_pam(scheme, pixels).encode())
    files.write_bytes(work / CLASS_FILE, scheme.to_yaml().encode())
    for name in (*names, PAM, CLASS_FILE):
        (work / name).replace(folder / name)
    files.sync(folder)
    return {
        "nodata_pixels": pixels[IGNORE],
        "pixels": {each.name: pixels[i] for i, each in enumerate(scheme.classes)},
    }
