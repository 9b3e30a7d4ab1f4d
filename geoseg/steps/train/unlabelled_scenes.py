"""Scenes without labels to train on, opened and checked like the labelled ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geoseg import ground
from geoseg.chips import ChipSet
from geoseg.chips.chip_set import ChipSpec
from geoseg.errors import ChipsError
from geoseg.job import read_record
from geoseg.layout import RECORD
from geoseg.models.saved.spec import GSD_TOLERANCE
from geoseg.options import ReadOptions
from geoseg.raster import RasterSource, open_scenes


def open_unlabelled(chips: ChipSet, scenes: Sequence[str]) -> list[RasterSource]:
    """Open scenes with the bands of chips, read like the scenes of the chips.

    Args:
        chips: labelled chips; their record holds the reading options.
        scenes: files, folders of bands, YAML files, patterns or lists.

    Raises:
        RasterError: a scene cannot be read.
        ChipsError: a scene lacks a band, or has another dtype or pixel size.
    """
    if not scenes:
        return []
    sources = open_scenes(list(scenes), _reading(chips.folder / RECORD))
    return [_fitting(source, chips.spec) for source in sources]


def _reading(path: Path) -> ReadOptions:
    """Reading options of the labelled scenes: nodata, bands, CRS."""
    record = read_record(path)
    options = record.options if record else {}
    return ReadOptions.model_validate(
        {name: options[name] for name in ReadOptions.model_fields if name in options}
    )


def _fitting(source: RasterSource, spec: ChipSpec) -> RasterSource:
    """Take the bands of the chips, in their order."""
    names, wanted = ([band.name for band in each.bands] for each in (source, spec))
    gsd_m = ground.gsd_m(source.geobox)
    ratio = max(gsd_m, spec.gsd_m) / min(gsd_m, spec.gsd_m)
    checks: tuple[tuple[bool, str, str, str], ...] = (
        (set(wanted) <= set(names), "has other bands", ", ".join(names), ", ".join(wanted)),
        (str(source.dtype) == spec.dtype, "has another pixel type", str(source.dtype), spec.dtype),
        (
            ratio <= 1 + GSD_TOLERANCE,
            "has another pixel size",
            f"{gsd_m:.3g} m",
            f"{spec.gsd_m:.3g} m",
        ),
    )
    for fits, fault, got, needed in checks:
        if not fits:
            raise ChipsError(
                f"{fault} than the labelled chips",
                where=source.name,
                got=got,
                wanted=needed,
                fix="give --unlabelled scenes like the labelled ones",
            )
    return source.take(tuple(names.index(name) for name in wanted))
