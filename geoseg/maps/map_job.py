"""One scene on its way to a map: what is to do, what is done, and the files at the end."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from odc.geo.geobox import GeoBox

from geoseg import files
from geoseg.classes import ClassScheme
from geoseg.grid import Window
from geoseg.job import Ledger, Record, Run
from geoseg.job.record import versions
from geoseg.steps.predict.map_files import finish, rasters
from geoseg.steps.predict.previous_map import Before
from geoseg.steps.predict.region import part_name

logger = logging.getLogger(__name__)
CONTENTS = ".regions.json"
"""Hash of what each region of a finished map was made from."""
BYTES_PER_PIXEL = 0.5
"""Of parts and COGs together: classes and confidence compress well."""


class Part(Protocol):
    """A task that makes one part of a map."""

    @property
    def name(self) -> str:
        """File name of the part."""
        ...

    @property
    def area(self) -> Window:
        """The pixels of the part."""
        ...


@dataclass
class Job[T: Part]:
    """One scene on its way to a map.

    Attributes:
        run: the run in the map directory.
        geobox: the grid of the map.
        scheme: the classes.
        tasks: the regions.
        probabilities: whether each class gets a layer.
        how: what the run was done with, for the record.
    """

    run: Run
    geobox: GeoBox
    scheme: ClassScheme
    tasks: Sequence[T]
    probabilities: bool
    how: Mapping[str, Any]
    _ledger: Ledger = field(init=False)
    _facts: dict[str, dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self._ledger = self.run.ledger()
        known = self._ledger.parts()
        self._facts = {task.name: known[task.name] for task in self.tasks if task.name in known}
        if self._facts:
            logger.info(
                "%s: %d of %d regions were finished before",
                self.run.folder, len(self._facts), len(self.tasks),
            )  # fmt: skip

    @property
    def todo(self) -> list[T]:
        """The regions that are not finished."""
        return [task for task in self.tasks if task.name not in self._facts]

    @property
    def complete(self) -> bool:
        """Whether all regions are finished."""
        return len(self._facts) == len(self.tasks)

    def commit(self, task: T, digest: str, facts: dict[str, Any]) -> None:
        """Note that a region's part is on the disk."""
        self._ledger.add(task.name, digest, facts)
        self._facts[task.name] = facts

    def finish(self) -> None:
        """Put the parts together, and let the map appear."""
        parts = {task.area: self.run.work / task.name for task in self.tasks}
        for name in rasters(probabilities=self.probabilities):
            files.remove(self.run.work / name)
            files.clear_leftovers(self.run.work / name)
        # GDAL does not say that the disk is full; the maps take about as much as their parts.
        self.run.require_space(sum(each.stat().st_size for each in parts.values() if each.exists()))
        pixels = finish(
            self.run.folder, self.run.work, parts, self.geobox, self.scheme,
            self._facts.values(), probabilities=self.probabilities,
        )  # fmt: skip
        contents = {name: facts["content"] for name, facts in sorted(self._facts.items())}
        files.write_json(self.run.folder / CONTENTS, contents)
        height, width = self.geobox.shape
        self.run.counts = {
            **self.how,
            "windows": sum(each["mapped"] for each in self._facts.values()),
            "skipped_windows": sum(each["skipped"] for each in self._facts.values()),
            "unchanged_windows": sum(each["unchanged"] for each in self._facts.values()),
            "outside_pixels": height * width
            - sum(t.area.height * t.area.width for t in self.tasks),
            **pixels,
        }
        logger.info(
            "%s: %d windows mapped, %d without anything to map, %d unchanged",
            self.run.folder, self.run.counts["windows"], self.run.counts["skipped_windows"],
            self.run.counts["unchanged_windows"],
        )  # fmt: skip
        self.run.finish()


def earlier(
    folder: Path, record: Record | None, options: Mapping[str, Any], weights: Sequence[str]
) -> dict[str, str]:
    """What each region of the map in a folder was made from; empty where another job made it.

    Args:
        folder: the map directory.
        record: what stands there.
        options: of the job that starts.
        weights: sha256 of its models' weights.
    """
    if record is None or record.versions != versions() or not record.stands(folder, record.key):
        return {}
    used = {each["sha256"] for each in record.inputs}
    if record.options != options or not used.issuperset(weights):
        return {}
    contents: dict[str, str] = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
    return contents


def before(
    folder: Path, contents: Mapping[str, str], area: Window, *, probabilities: bool
) -> Before | None:
    """The same region of the map in a folder, if it is there."""
    content = contents.get(part_name(area))
    paths = tuple(folder / name for name in rasters(probabilities=probabilities))
    return Before(paths, content) if content else None


def needed_bytes(geobox: GeoBox) -> int:
    """About how much disk a map takes with its parts."""
    height, width = geobox.shape
    return int(height * width * BYTES_PER_PIXEL)
