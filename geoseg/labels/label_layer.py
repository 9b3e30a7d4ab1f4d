"""A label layer as it is named by a user: a path, a class scheme, an attribute."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path

from geoseg import raster, vector
from geoseg.classes import ClassScheme
from geoseg.errors import VectorError
from geoseg.raster.drivers import SUFFIXES


@dataclass(frozen=True)
class LabelLayer:
    """Where labels come from; a small value that every worker opens for itself.

    Attributes:
        path: a polygon layer, a label raster, a folder of label rasters, or a pattern.
        scheme: the classes, and which label codes mean them.
        column: the attribute with the code; the scheme's when None.
        layer: the layer's name, in a file of several.
    """

    path: str
    scheme: ClassScheme
    column: str | None = None
    layer: str | None = None

    def files(self) -> list[Path]:
        """The files the labels are read from, in the order in which they take precedence.

        Raises:
            VectorError: there are none.
        """
        path = Path(self.path)
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        elif glob.has_magic(self.path) and not path.exists():
            found = [Path(match) for match in sorted(glob.glob(self.path))]
        else:
            found = [path]
        if not found or not all(each.exists() for each in found):
            raise VectorError("there are no labels", where=self.path, got=f"in {Path.cwd()}")
        return found

    def inputs(self) -> list[Path]:
        """The files, and all others that change what is read: .dbf, .prj, -wal, those of a VRT.

        A record of a run names all of them, so that it runs again when one changes.

        Raises:
            VectorError: there are no files.
        """
        found = self.files()
        rasters = [path for path in found if path.suffix.lower() in SUFFIXES]
        others = set(found).difference(rasters)
        beside = (each for path in others for each in vector.files_of(path))
        return sorted({*raster.files_of(*rasters), *beside})
