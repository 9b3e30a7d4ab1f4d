"""Join the maps of several scenes, each on its own grid, into one map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from odc.geo.geobox import GeoBox

from geoseg.classes import ClassScheme
from geoseg.job import WorkerOptions, open_run, spread
from geoseg.layout import CLASS_FILE
from geoseg.maps.map_files import PAM, rasters
from geoseg.maps.map_job import CONTENTS, MapJob, needed_bytes
from geoseg.mosaic.mosaic_parts import LAYERS, fill_part, mosaic_tasks

ATTEMPTS = 3
REGION = 1024
"""Side of a region in pixels."""


@dataclass(frozen=True)
class Mosaic:
    """The maps to join, and the grid to join them on.

    Attributes:
        maps: the map directories; where two are equally confident, the first wins.
        target: the grid as the user named it, which goes into the record.
        geobox: the grid, as `mosaic_grid` finds it.
        scheme: the classes of all maps.
        probabilities: whether the maps have a layer for each class.
    """

    maps: Sequence[Path]
    target: str
    geobox: GeoBox
    scheme: ClassScheme
    probabilities: bool

    @property
    def rasters(self) -> tuple[str, ...]:
        """File names of the rasters."""
        return rasters(probabilities=self.probabilities)

    @property
    def layers(self) -> tuple[str, ...]:
        """For each band of a part, the name of the file that holds it."""
        by_class = self.rasters[len(LAYERS) :]
        return (*LAYERS, *(name for name in by_class for _ in self.scheme.classes))


def join_maps(
    mosaic: Mosaic,
    out: Path,
    *,
    workers: WorkerOptions,
    region: int | None = None,
    overwrite: bool = False,
) -> None:
    """Join maps into one; a run that was interrupted resumes, a finished one is left alone.

    Args:
        mosaic: the maps and the grid.
        out: the map directory to write.
        workers: where the work is done.
        region: side in pixels of a unit of work, a multiple of 512.
        overwrite: whether to do everything again.

    Raises:
        GridError: the CRS does not cover a map, or the region is not made of whole blocks.
        PartialError: some regions failed again and again; the others are kept.
        RasterError: the maps have different layers.
        RetryError: the disk was full or returned other bytes; finished regions are kept.
    """
    with open_run(
        "mosaic", out,
        inputs={
            f"map {number}": [folder / name for name in mosaic.rasters]
            for number, folder in enumerate(mosaic.maps, 1)
        },
        options={"grid": mosaic.target},
        outputs=(*mosaic.rasters, PAM, CLASS_FILE, CONTENTS), overwrite=overwrite,
    ) as run:  # fmt: skip
        if run.done:
            return
        run.require_space(needed_bytes(mosaic.geobox))
        tasks = mosaic_tasks(mosaic.maps, mosaic.geobox, region or REGION, run.work, mosaic.layers)
        job = MapJob(run, mosaic.geobox, mosaic.scheme, tasks, mosaic.probabilities, {})
        for task, (digest, facts) in spread(
            fill_part, job.todo, workers, label="joining", total=len(tasks), attempts=ATTEMPTS
        ):
            job.commit(task, digest, facts)
        job.finish()
