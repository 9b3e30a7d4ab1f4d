"""All errors geoseg raises on purpose.

    GeosegError
    ├── InputError            exit 2   something you passed has to change first
    │   ├── GridError                  grids, windows, resolutions that do not fit together
    │   ├── ClassError                 the class scheme, or label codes it does not know
    │   ├── RasterError                a raster that is broken, unsupported or lacks georeferencing
    │   ├── VectorError                a polygon layer that is broken or unusable
    │   │   └── ApartError             polygons that do not meet the scene
    │   ├── ChipsError                 a chip directory, or a split that would leak
    │   ├── ModelError                 a model directory, or a scene the model was not made for
    │   ├── CatalogError               an entry of the data catalog
    │   ├── ConfigError                a YAML file or an option
    │   └── UnsafeError                refused for safety: remote or code-carrying sources
    ├── OutputError           exit 2   the output cannot be written there
    └── RetryError            exit 3   run the same command again: it resumes
        └── PartialError               some items failed repeatedly; all others are finished

Each error says what is wrong, where, what was found, what was expected, and the next move.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class GeosegError(Exception):
    """An error a user can act on; its text is one line.

    Args:
        what: what is wrong, as a clause.
        where: the file, option or window it is wrong in.
        got: what was found.
        wanted: what was expected.
        fix: the next move, as an imperative.

    Example:
        >>> import geoseg
        >>> try:
        ...     geoseg.open_scene("nowhere.tif")
        ... except geoseg.GeosegError as error:
        ...     print(type(error).__name__, error.where, error.exit_code)
        RasterError nowhere.tif 2
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | Path | None = None,
        got: object = None,
        wanted: object = None,
        fix: str | None = None,
    ) -> None:
        self.what, self.where, self.got, self.wanted, self.fix = what, where, got, wanted, fix
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where is not None else self.what
        if self.got is not None:
            text += f"; got {self.got}"
        if self.wanted is not None:
            text += f"; wanted {self.wanted}"
        if self.fix is not None:
            text += f". Next: {self.fix}"
        return text.replace("\n", "\\n")

    def __reduce__(self) -> tuple[object, ...]:
        # errors of GDAL cannot be pickled, and workers send theirs home
        got = str(self.got) if isinstance(self.got, Exception) else self.got
        return (_rebuild, (type(self), self.what, self.where, got, self.wanted, self.fix))


def _rebuild(
    kind: type[GeosegError], what: str, where: str, got: object, wanted: object, fix: str
) -> GeosegError:
    return kind(what, where=where, got=got, wanted=wanted, fix=fix)


class InputError(GeosegError):
    """Something the user passed has to change first."""

    exit_code = 2


class GridError(InputError):
    """Grids, windows or resolutions that do not fit together."""


class ClassError(InputError):
    """The class scheme, or label codes it does not know."""


class RasterError(InputError):
    """A raster that is broken, unsupported or lacks georeferencing."""


class VectorError(InputError):
    """A polygon layer that is broken or unusable."""


class ApartError(VectorError):
    """Polygons that do not meet the scene."""


class ChipsError(InputError):
    """A chip directory that cannot be used, or a split that would leak."""


class ModelError(InputError):
    """A model directory that cannot be used, or a scene the model was not made for."""


class CatalogError(InputError):
    """An entry of the data catalog."""


class ConfigError(InputError):
    """A YAML file or an option."""


class UnsafeError(InputError):
    """Refused for safety."""


class OutputError(GeosegError):
    """The output cannot be written there."""

    exit_code = 2


class RetryError(GeosegError):
    """Run the same command again: finished work is kept."""

    exit_code = 3


class PartialError(RetryError):
    """Some items failed repeatedly; all others are finished and kept.

    Args:
        what: what is wrong, as a clause.
        failures: name and reason of each failed item.
        where: the work it happened in.
        got: what was found.
        wanted: what was expected.
        fix: the next move, as an imperative.
    """

    def __init__(
        self,
        what: str,
        *,
        failures: Sequence[tuple[str, str]] = (),
        where: str | Path | None = None,
        got: object = None,
        wanted: object = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(what, where=where, got=got, wanted=wanted, fix=fix)
        self.failures = tuple(failures)

    def __reduce__(self) -> tuple[object, ...]:
        return (*super().__reduce__(), {"failures": self.failures})
