"""Parts of a run to the files of a map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from odc.geo.geobox import GeoBox

from geoseg import files, style
from geoseg.classes import IGNORE, ClassScheme
from geoseg.grid import Window
from geoseg.maps.open_map import CLASSES, CONFIDENCE, PROBABILITIES, SCHEME
from geoseg.raster.cog import CogSettings, write_cog, write_vrt

PAM = f"{CLASSES}.tif.aux.xml"


def rasters(*, probabilities: bool) -> tuple[str, ...]:
    """The rasters of a map, in the order of the layers."""
    layers = (CLASSES, CONFIDENCE, *([PROBABILITIES] if probabilities else []))
    return tuple(f"{name}.tif" for name in layers)


def finish(
    folder: Path,
    work: Path,
    parts: Mapping[Window, Path],
    geobox: GeoBox,
    scheme: ClassScheme,
    facts: Iterable[Mapping[str, Any]],
    *,
    probabilities: bool,
) -> dict[str, Any]:
    """Write the rasters of a map from all parts, and the scheme; they appear together and checked.

    They are made beside the parts, so that a map that stood there before stays until the disk has
    proved large enough for all of the new one.

    Args:
        folder: the map directory.
        work: the folder below it in which the parts lie.
        parts: the part of each area; there are none where an area of interest meets no region.
        geobox: the grid of the map.
        scheme: the classes.
        facts: pixels by value, of each part.
        probabilities: whether each class has a layer.

    Returns:
        Pixels without data and by class name.
    """
    colours = {index: each.rgba for index, each in enumerate(scheme.classes)}
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
    files.write_bytes(work / SCHEME, scheme.to_yaml().encode())
    for name in (*names, PAM, SCHEME):
        (work / name).replace(folder / name)
    files.sync(folder)
    return {
        "nodata_pixels": pixels[IGNORE],
        "pixels": {each.name: pixels[i] for i, each in enumerate(scheme.classes)},
    }
