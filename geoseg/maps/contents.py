"""What there is to publish: the files of a map, and those that belong to it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyogrio

from geoseg.classes import ClassScheme, load_yaml
from geoseg.errors import GeosegError, InputError, RasterError
from geoseg.job import Record, read_record
from geoseg.maps.imagery import imagery_of, write_arranged
from geoseg.raster import FileSource
from geoseg.steps.publish import PublishOptions
from geoseg.style.qml import COLUMN
from geoseg.vector.layer import Layer, open_layer

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

logger = logging.getLogger(__name__)
CLASSES, CONFIDENCE, PROBABILITIES = "classes.tif", "confidence.tif", "probabilities.tif"
SCHEME, RECORD = "classes.yaml", "run.json"
VECTORS = (".gpkg", ".fgb", ".geojson")
"""Of polygon files that are found without being named; the project shows the first."""


@dataclass(frozen=True)
class Contents:
    """A map with what belongs to it.

    Attributes:
        folder: the map directory.
        scheme: the classes.
        geobox: the grid.
        rasters: names of the rasters, classes.tif first.
        record: what the map was made from, where that is known.
        polygons: the polygon files.
        imagery: the scene.
        labels: polygons of the truth.
        options: what the user said.
    """

    folder: Path
    scheme: ClassScheme
    geobox: GeoBox
    rasters: tuple[str, ...]
    record: Record | None
    polygons: tuple[Layer, ...]
    imagery: FileSource | None
    labels: Layer | None
    options: PublishOptions

    @property
    def title(self) -> str:
        """The heading; "map" alone says nothing, so the folder above names such a map."""
        folder = self.folder.resolve()
        name = folder.parent.name if folder.name == "map" else folder.name
        return self.options.title or name or folder.name

    @property
    def models(self) -> list[Mapping[str, Any]]:
        """Specs of the models that made the map; none where an object stood in for a model."""
        made = self.record.options.get("model") if self.record else None
        listed = made if isinstance(made, list) else []
        return [each for each in listed if isinstance(each, Mapping) and "architecture" in each]


def contents_of(land_map: Path, options: PublishOptions) -> Contents:
    """Find everything that is published with a map; bands in several files are arranged in a VRT.

    Raises:
        RasterError: the path is no finished map.
        ClassError: its classes.yaml is not one.
        InputError: a file the options name cannot be read, or does not belong to the map.
    """
    folder = land_map.parent if land_map.name == CLASSES else land_map
    missing = [name for name in (CLASSES, SCHEME) if not (folder / name).is_file()]
    if missing:
        raise RasterError(
            "is not a finished map",
            where=land_map,
            got=f"no {' and no '.join(missing)} in it",
            fix="give the folder that geoseg predict has written",
        )
    record = read_record(folder / RECORD)
    names = (CLASSES, CONFIDENCE, PROBABILITIES)
    return Contents(
        folder,
        load_yaml(folder / SCHEME),
        FileSource(folder / CLASSES).geobox,
        tuple(name for name in names if (folder / name).is_file()),
        record,
        tuple(_polygons(folder, record, options)),
        _imagery(folder, record, options),
        None if options.labels is None else open_layer(options.labels, None),
        options,
    )


def _polygons(folder: Path, record: Record | None, options: PublishOptions) -> Iterator[Layer]:
    for path in options.polygons:
        found = open_layer(path, None)
        if COLUMN not in found.fields:
            raise InputError(
                "holds no polygons of a map",
                where=path,
                got=", ".join(found.fields),
                wanted=f"a column {COLUMN}",
                fix="make them with geoseg vectorize",
            )
        yield found
    if options.polygons or record is None:
        return
    for place in (folder, folder.parent if folder.name else folder.resolve().parent):
        for path in (path for suffix in VECTORS for path in sorted(place.glob(f"*{suffix}"))):
            with suppress(GeosegError):
                found = open_layer(path, None)
                if _run_of(found) == record.key[:12]:
                    yield found


def _run_of(layer: Layer) -> str | None:
    """The run that polygons say they were made from."""
    if "run" not in layer.fields:
        return None
    *_, (runs,) = pyogrio.raw.read(
        layer.path, layer=layer.name, columns=["run"], max_features=1, read_geometry=False
    )
    return str(runs[0])


def _imagery(folder: Path, record: Record | None, options: PublishOptions) -> FileSource | None:
    found = imagery_of(record, options.imagery)
    if len(found) != 3 or record is None:
        return found[0] if found else None
    arranged = write_arranged(folder, found, record.options.get("nodata"))
    return FileSource(arranged) if arranged else None
