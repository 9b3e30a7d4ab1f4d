"""Parts of a run to the files of a map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from odc.geo.geobox import GeoBox

from geoseg import files, style
from geoseg.classes import IGNORE, ClassScheme
from geoseg.raster.cog import CogSettings, write_cog, write_vrt
from geoseg.steps.predict.region import RegionTask

CLASSES, CONFIDENCE, SCHEME = "classes.tif", "confidence.tif", "classes.yaml"
PAM = "classes.tif.aux.xml"
OUTPUTS = (CLASSES, PAM, CONFIDENCE, SCHEME)


def finish(
    folder: Path,
    tasks: Sequence[RegionTask],
    facts: Mapping[str, Mapping[str, Any]],
    geobox: GeoBox,
    scheme: ClassScheme,
) -> dict[str, Any]:
    """Write classes.tif and confidence.tif from all parts; each appears whole and checked.

    Returns:
        Windows mapped and skipped, and pixels by class name.
    """
    work = tasks[0].folder
    parts = {task.area: work / task.name for task in tasks}
    colours = {index: each.rgba for index, each in enumerate(scheme.classes)}
    bands = (
        (CLASSES, CogSettings("class", "MODE", colours)),
        (CONFIDENCE, CogSettings("confidence in percent", "AVERAGE")),
    )
    for band, (name, settings) in enumerate(bands, start=1):
        vrt = work / f"{Path(name).stem}.vrt"
        write_vrt(vrt, parts, geobox, band, settings)
        write_cog(vrt, folder / name, settings)
    counts = [facts[task.name] for task in tasks]
    pixels: Counter[int] = Counter()
    for each in counts:
        pixels.update({int(value): count for value, count in each["pixels"].items()})
    files.write_bytes(folder / PAM, style.raster_pam(scheme, pixels).encode())
    files.write_bytes(folder / SCHEME, scheme.to_yaml().encode())
    return {
        "windows": sum(each["windows"] for each in counts),
        "skipped_windows": sum(each["skipped"] for each in counts),
        "nodata_pixels": pixels[IGNORE],
        "pixels": {each.name: pixels[i] for i, each in enumerate(scheme.classes)},
    }
