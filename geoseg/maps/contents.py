"""A finished map with everything that belongs to it: rasters, polygons, imagery, labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyogrio

from geoseg.classes import ClassScheme, load_yaml
from geoseg.errors import GeosegError, InputError, RasterError
from geoseg.job import Record, read_record
from geoseg.layout import CLASS_FILE, CLASSES, CONFIDENCE, PROBABILITIES, RECORD
from geoseg.maps.imagery import open_imagery
from geoseg.raster import FileSource
from geoseg.style.qml import COLUMN
from geoseg.vector.layer import Layer, open_layer

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

VECTORS = (".gpkg", ".fgb", ".geojson")
"""Formats of polygons that are found by themselves, best first: a QGIS project shows the first."""


@dataclass(frozen=True)
class Description:
    """What people state about a map, because no file holds it.

    Attributes:
        title: heading; empty for the name of the map's folder.
        date: acquisition time of the scene, RFC 3339; None for the time in the scene's tags.
        credits: producer of imagery and map.
        license: SPDX id of the map's licence.
    """

    title: str = ""
    date: str | None = None
    credits: str = ""
    license: str = "other"


@dataclass(frozen=True)
class Contents:
    """A finished map with everything that belongs to it.

    Attributes:
        folder: the map directory.
        scheme: the classes.
        geobox: the grid of the rasters.
        rasters: file names of the rasters, classes.tif first.
        record: the record of the run that made the map; None without a readable one.
        polygons: layers of polygons made from the map.
        imagery: the mapped scene, or another image to lie under the map.
        labels: polygons to lie over the map.
        description: what people state about the map.
    """

    folder: Path
    scheme: ClassScheme
    geobox: GeoBox
    rasters: tuple[str, ...]
    record: Record | None
    polygons: tuple[Layer, ...]
    imagery: FileSource | None
    labels: Layer | None
    description: Description

    @property
    def title(self) -> str:
        """The stated title, else the folder's name; a folder called map is named by its parent."""
        folder = self.folder.resolve()
        name = folder.parent.name if folder.name == "map" else folder.name
        return self.description.title or name or folder.name

    @property
    def models(self) -> list[Mapping[str, Any]]:
        """Specs of the models that made the map."""
        return model_specs(self.record) if self.record else []


def contents_of(
    land_map: Path,
    description: Description,
    *,
    polygons: Sequence[Path] = (),
    imagery: Path | None = None,
    labels: Path | None = None,
) -> Contents:
    """Find everything that belongs to a map.

    Where the scene is one file per band, a VRT of red, green and blue is written beside the map.

    Args:
        land_map: the map directory, or the classes.tif in it.
        description: what people state about the map.
        polygons: files made from the map; when empty, those beside or above it from its run.
        imagery: image to lie under the map; the scene of its record when None.
        labels: polygons to lie over the map.

    Raises:
        RasterError: the path is not a finished map, or the imagery cannot be read.
        ClassError: its classes.yaml is not a class file.
        VectorError: polygons or labels cannot be read.
        InputError: the polygons were not made by geoseg vectorize.
    """
    folder = land_map.parent if land_map.name == CLASSES else land_map
    missing = [name for name in (CLASSES, CLASS_FILE) if not (folder / name).is_file()]
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
        load_yaml(folder / CLASS_FILE),
        FileSource(folder / CLASSES).geobox,
        tuple(name for name in names if (folder / name).is_file()),
        record,
        tuple(map(_open_polygons, polygons) if polygons else _polygons_of_run(folder, record)),
        open_imagery(folder, record, imagery),
        None if labels is None else open_layer(labels, None),
        description,
    )


def model_specs(record: Record) -> list[Mapping[str, Any]]:
    """Specs of the models that made a map; none for a predictor that is not a saved model."""
    models = record.options.get("model")
    listed = models if isinstance(models, list) else []
    return [each for each in listed if isinstance(each, Mapping) and "architecture" in each]


def model_name(spec: Mapping[str, Any]) -> str:
    """Architecture and, where there is one, backbone of a model."""
    return " ".join(filter(None, (str(spec["architecture"]), spec.get("backbone"))))


def _open_polygons(path: Path) -> Layer:
    layer = open_layer(path, None)
    if COLUMN not in layer.fields:
        raise InputError(
            "holds no polygons of a map",
            where=path,
            got=", ".join(layer.fields),
            wanted=f"a column {COLUMN}",
            fix="make them with geoseg vectorize",
        )
    return layer


def _polygons_of_run(folder: Path, record: Record | None) -> Iterator[Layer]:
    """Layers beside and above the map whose column ``run`` holds the key of its run."""
    if record is None:
        return
    for place in (folder, folder.parent if folder.name else folder.resolve().parent):
        for path in (path for suffix in VECTORS for path in sorted(place.glob(f"*{suffix}"))):
            # Whatever lies there may be anybody's: a file that is broken is not ours to report.
            with suppress(GeosegError):
                layer = open_layer(path, None)
                if _run_of(layer) == record.key[:12]:
                    yield layer


def _run_of(layer: Layer) -> str | None:
    """Key of the run that a layer was made from, as geoseg vectorize writes it into each row."""
    if "run" not in layer.fields:
        return None
    *_, (runs,) = pyogrio.raw.read(
        layer.path, layer=layer.name, columns=["run"], max_features=1, read_geometry=False
    )
    return str(runs[0]) if len(runs) else None
