"""The checks of a raster put together: for one file, or for all files of a scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from geoseg.errors import RasterError
from geoseg.gdal_messages import collect_messages, summarize
from geoseg.problems import Problem, merge_files, worst_first
from geoseg.raster.block import RasterSource
from geoseg.raster.checks.blocks import block_problems, corrupt
from geoseg.raster.checks.georeference import georeference_problems
from geoseg.raster.checks.pixel_sample import sample_pixels
from geoseg.raster.checks.pixel_values import pixel_problems
from geoseg.raster.checks.raster_facts import RasterFacts
from geoseg.raster.checks.storage import UNREADABLE, storage_problems
from geoseg.raster.drivers import driver_of
from geoseg.raster.file_source import FileSource
from geoseg.raster.handles import root_cause
from geoseg.raster.stack_source import StackSource
from geoseg.raster.warp_source import WarpSource

CRS_PROBLEMS = ("no-crs", "crs-degenerate", "crs-deprecated", "crs-without-code")
NODATA_PROBLEMS = ("undeclared-nodata", "nodata-range")
ALPHA_PROBLEMS = ("hidden-alpha",)


@dataclass(frozen=True)
class RasterInspection:
    """What an inspection of a raster file finds.

    Attributes:
        driver: the GDAL driver that opens the file.
        facts: what the file states about itself.
        valid_share: share of valid pixels in a sample, 0 to 1; None where none could be read.
        problems: everything that could spoil a result, in the order of the checks.
    """

    driver: str
    facts: RasterFacts
    valid_share: float | None
    problems: tuple[Problem, ...]


def inspect_raster(path: Path, *, deep: bool = False) -> RasterInspection:
    """Check a raster file, and read its facts on the way.

    GDAL's warnings become a problem instead of lines on the terminal.

    Args:
        path: the file.
        deep: decode every block; otherwise a few, which takes about a second for any raster.

    Raises:
        RasterError: the file is missing, of no accepted format, or cannot be opened.
        UnsafeError: the file would make GDAL open or run something else.
    """
    driver = driver_of(path)
    with collect_messages() as messages, _open(path, driver) as dataset:
        facts = RasterFacts.of(dataset)
        found = storage_problems(dataset)
        readable = not any(each.code in UNREADABLE for each in found)
        found += georeference_problems(path, driver, dataset)
        share = None
        if readable:
            share, in_pixels = _look_at_pixels(path, dataset, deep=deep)
            found += in_pixels
    if messages:
        found.append(Problem("gdal", "note", f"GDAL reports: {summarize(messages)}"))
    return RasterInspection(driver, facts, share, tuple(found))


def problems_of(scene: Path | RasterSource, *, deep: bool = False) -> list[Problem]:
    """Everything about a raster that could spoil a result, worst first.

    A source is checked file by file. What its options settle (CRS, nodata value, alpha band,
    choice of bands) is no problem any more, and one that several files share is reported once.
    Arrays and remote files are not checked: that would compute or download them.

    Args:
        scene: a raster file, or an opened scene.
        deep: decode every block of every file.

    Raises:
        RasterError: a file is missing, of no accepted format, or cannot be opened.
        UnsafeError: a file would make GDAL open or run something else.
    """
    if isinstance(scene, Path):
        return worst_first(inspect_raster(scene, deep=deep).problems)
    found = {
        path: [
            each for each in inspect_raster(path, deep=deep).problems if each.code not in settled
        ]
        for path, settled in _local_files(scene)
    }
    if len(found) == 1:
        return worst_first(*found.values())
    return merge_files((path.name, problems) for path, problems in found.items())


def _open(path: Path, driver: str) -> DatasetReader:
    try:
        # A handle of its own: rasterio's shared ones would return cached blocks to a deep check.
        return rasterio.open(path, driver=driver, sharing=False)
    except RasterioError as error:
        raise RasterError(
            "cannot be opened", where=path, got=root_cause(error), fix="fetch it again"
        ) from error


def _look_at_pixels(
    path: Path, dataset: DatasetReader, *, deep: bool
) -> tuple[float | None, list[Problem]]:
    """The share of valid pixels, if they can be read, and the problems with them."""
    broken = block_problems(path, dataset, deep=deep)
    if broken:
        return None, broken
    try:
        sample = sample_pixels(dataset)
    except RasterError as error:
        return None, [corrupt(error)]
    return round(float(sample.valid.mean()), 4), pixel_problems(dataset, sample)


def _local_files(source: RasterSource) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The local raster files behind a source, and codes of problems that its options settle."""
    if isinstance(source, StackSource):
        for each in source.sources:
            yield from _local_files(each)
    elif isinstance(source, WarpSource):
        yield from _local_files(source.source)
    elif isinstance(source, FileSource) and isinstance(source.path, Path):
        settled: tuple[str, ...] = ()
        settled += CRS_PROBLEMS if source.crs is not None else ()
        settled += NODATA_PROBLEMS if source.nodata is not None else ()
        settled += ALPHA_PROBLEMS if source.alpha is not None else ()
        yield source.path, settled
