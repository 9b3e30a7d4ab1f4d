"""A map in the making: which parts are there, which are missing, and the files at the end."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from odc.geo.geobox import GeoBox

from geoseg import files
from geoseg.classes import ClassScheme
from geoseg.job import Ledger, Run
from geoseg.maps.map_files import rasters, write_map
from geoseg.maps.map_parts import MapPart

logger = logging.getLogger(__name__)
CONTENTS = ".regions.json"
"""Hash of the pixels that each part of a finished map was made from, by the part's name."""

BYTES_PER_PIXEL = 0.5
"""Of parts and COGs together: classes and confidence compress well."""


@dataclass
class MapJob[T: MapPart]:
    """A map in the making.

    The ledger is read once, when the job is made: parts that an interrupted run left count as done.

    Attributes:
        run: the run in the map directory.
        geobox: the grid of the map.
        scheme: the classes.
        tasks: the parts to make; pixels outside all of them are written as nodata.
        probabilities: whether each class gets a layer.
        settings: how the map is made, for the record.
    """

    run: Run
    geobox: GeoBox
    scheme: ClassScheme
    tasks: Sequence[T]
    probabilities: bool
    settings: Mapping[str, Any]
    _ledger: Ledger = field(init=False)
    _facts: dict[str, dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self._ledger = self.run.ledger()
        known = self._ledger.parts()
        self._facts = {task.name: known[task.name] for task in self.tasks if task.name in known}
        if self._facts:
            logger.info(
                "%s: resuming, %d of %d regions are done",
                self.run.folder, len(self._facts), len(self.tasks),
            )  # fmt: skip

    @property
    def todo(self) -> list[T]:
        """The tasks whose part is missing."""
        return [task for task in self.tasks if task.name not in self._facts]

    @property
    def complete(self) -> bool:
        """Whether all parts are there."""
        return len(self._facts) == len(self.tasks)

    def commit(self, task: T, digest: str, facts: dict[str, Any]) -> None:
        """Record a part that is on the disk.

        Args:
            task: the task that wrote it.
            digest: sha256 of the file.
            facts: as `write_part` returns them.

        Raises:
            RetryError: the part was recorded with another hash, or the disk is full.
        """
        self._ledger.add(task.name, digest, facts)
        self._facts[task.name] = facts

    def finish(self) -> None:
        """Join the parts into the files of the map, write the record and remove the parts.

        Raises:
            RetryError: the disk has too little room, or returned other bytes than were written.
        """
        parts = {task.area: self.run.work / task.name for task in self.tasks}
        for name in rasters(probabilities=self.probabilities):
            files.remove(self.run.work / name)
            files.clear_leftovers(self.run.work / name)
        # GDAL does not report a full disk when it closes a file, so the room is checked first; the
        # COGs take about as much as their parts.
        self.run.require_space(sum(each.stat().st_size for each in parts.values() if each.exists()))
        pixels = write_map(
            self.run.folder, self.run.work, parts, self.geobox, self.scheme,
            self._facts.values(), probabilities=self.probabilities,
        )  # fmt: skip
        contents = {name: facts["content"] for name, facts in sorted(self._facts.items())}
        files.write_json(self.run.folder / CONTENTS, contents)
        self.run.counts = {**self.settings, **self._windows(), **pixels}
        logger.info(
            "%s: %d windows mapped, %d without anything to map, %d unchanged",
            self.run.folder, self.run.counts["windows"], self.run.counts["skipped_windows"],
            self.run.counts["unchanged_windows"],
        )  # fmt: skip
        self.run.finish()

    def _windows(self) -> dict[str, int]:
        height, width = self.geobox.shape
        covered = sum(task.area.height * task.area.width for task in self.tasks)
        return {
            "windows": sum(each["mapped"] for each in self._facts.values()),
            "skipped_windows": sum(each["skipped"] for each in self._facts.values()),
            "unchanged_windows": sum(each["unchanged"] for each in self._facts.values()),
            "outside_pixels": height * width - covered,
        }


def needed_bytes(geobox: GeoBox) -> int:
    """About how much disk a map takes together with its parts."""
    height, width = geobox.shape
    return int(height * width * BYTES_PER_PIXEL)
