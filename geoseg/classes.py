"""The class scheme: which classes there are, and which label codes mean which class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from geoseg import yamlfile
from geoseg.errors import ClassError
from geoseg.options import complaint
from geoseg.xmlfile import NO_XML

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IGNORE = 255
"""Unlabelled, ignored by the loss, raster nodata, masked in evaluation, skipped by polygons."""

EVERY = "*"
MISSING = ("None", "nan", "NaT", "<NA>")


def _colour(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?", value):
        raise ValueError('a colour is "#rrggbb" or "#rrggbbaa", in quotes')
    return value.lower()


def _writable(name: str) -> str:
    if NO_XML.search(name):
        raise ValueError("a name has no control characters: styles and projects cannot hold them")
    return name


def _codes(value: object) -> object:
    codes = (value,) if isinstance(value, str | int | float) else value
    if isinstance(codes, Iterable) and any(isinstance(code, bool) for code in codes):
        raise ValueError(
            "YAML reads bare yes, no, on and off as true and false: put them in quotes"
        )
    return codes


class LandClass(BaseModel):
    """One class of a scheme.

    Attributes:
        name: what people call it.
        color: "#rrggbb" or "#rrggbbaa".
        values: label codes that mean this class; "*" means every polygon. Without any, the
            class's name (polygons) or id (label rasters) is the code.
        priority: polygons of a higher priority lie over lower ones; without it, the class's id.
        burn: which pixels a polygon takes: those whose "centre" it covers, all it has "touched",
            or those of which it covers the "majority".
        regularize: whether its polygons become right-angled footprints when a map is vectorized.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1), AfterValidator(_writable)]
    color: Annotated[str, BeforeValidator(_colour)]
    values: Annotated[tuple[int | float | str, ...], BeforeValidator(_codes)] = ()
    priority: int | None = None
    burn: Literal["centre", "touched", "majority"] = "centre"
    regularize: bool = False

    @property
    def rgba(self) -> tuple[int, int, int, int]:
        """Red, green, blue and opacity, 0 to 255."""
        digits = self.color[1:].ljust(8, "f")
        red, green, blue, alpha = (int(digits[i : i + 2], 16) for i in range(0, 8, 2))
        return red, green, blue, alpha


class ClassScheme(BaseModel):
    """Ordered classes: the position is the id in every raster, chip, model and polygon.

    Attributes:
        classes: up to 255 classes, ids 0, 1, 2 ...
        column: the attribute of a polygon layer that holds the code.
        unmapped: what a code of no class becomes: "error", "ignore", or a class name.
        outside: what lies under no polygon: "ignore", or a class name.
        ignore: label codes that mean "not labelled".

    Example:
        >>> scheme = ClassScheme(classes=(
        ...     {"name": "land", "color": "#ffffff", "values": ["field", "forest"]},
        ...     {"name": "water", "color": "#2b83ba", "values": [1]}))
        >>> scheme.ids(["forest", 1.0, "1"]).tolist()
        [0, 1, 1]
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: tuple[LandClass, ...] = Field(min_length=1, max_length=IGNORE)
    column: str | None = None
    unmapped: str = "error"
    outside: str = "ignore"
    ignore: Annotated[tuple[int | float | str, ...], BeforeValidator(_codes)] = ()

    @model_validator(mode="after")
    def _names_and_codes_are_unique(self) -> ClassScheme:
        for kind, items in (
            ("class name", [each.name for each in self.classes]),
            ("label code", [_key(v) for each in self.classes for v in each.values]),
        ):
            twice = [item for item, count in Counter(items).items() if count > 1]
            if twice:
                raise ValueError(f"the {kind} {twice[0]!r} stands twice")
        for field, words in (("unmapped", ("error", "ignore")), ("outside", ("ignore",))):
            value = getattr(self, field)
            if value not in words and value not in self.names:
                raise ValueError(f"{field}: {value!r} is neither {' nor '.join(words)} nor a class")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, by id."""
        return tuple(each.name for each in self.classes)

    @property
    def outside_id(self) -> int:
        """The id of what lies under no polygon: a class or `IGNORE`."""
        return IGNORE if self.outside == "ignore" else self.names.index(self.outside)

    @property
    def priorities(self) -> tuple[int, ...]:
        """Drawing order, by id: a higher number lies over a lower one."""
        return tuple(i if c.priority is None else c.priority for i, c in enumerate(self.classes))

    def to_yaml(self) -> str:
        """The scheme as a class file; reading it gives an equal scheme."""
        import yaml

        content = self.model_dump(mode="json", exclude_defaults=True)
        return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))

    @cached_property
    def _by_code(self) -> dict[str, int]:
        table: dict[str, int] = {}
        for index, each in enumerate(self.classes):
            if not each.values:
                table |= {_key(each.name): index, _key(index): index}
        for index, each in enumerate(self.classes):
            table |= {_key(code): index for code in each.values}
        return table | {_key(code): IGNORE for code in self.ignore}

    def ids(self, codes: Iterable[object], *, where: str | Path | None = None) -> NDArray[np.uint8]:
        """The class id of each label code; `IGNORE` where there is none.

        Numbers match by value and text by its characters: 1, 1.0 and "1" are one code. Missing
        codes (None, NaN) are not labelled.

        Args:
            codes: one code per polygon (or per distinct raster value).
            where: the label file, for the error.

        Raises:
            ClassError: a code belongs to no class and ``unmapped`` is "error"; lists all of them
                with their counts.
        """
        import numpy as np

        keys = [_key(code) for code in codes]
        table = dict(self._by_code)
        unknown = Counter(key for key in keys if key and key not in table and EVERY not in table)
        if unknown and self.unmapped == "error":
            raise ClassError(
                f"{len(unknown)} label code(s) belong to no class",
                where=where,
                got=", ".join(f"{key!r} ({count} x)" for key, count in unknown.most_common(20)),
                wanted=", ".join(repr(key) for key in list(table)[:20]),
                fix="add them to values: in the class file, or set unmapped: ignore",
            )
        other = IGNORE if self.unmapped in ("error", "ignore") else self.names.index(self.unmapped)
        other = table.get(EVERY, other)
        ids = [table.get(key, other) if key else table.get(EVERY, IGNORE) for key in keys]
        return np.array(ids, dtype=np.uint8)


def load_yaml(path: Path) -> ClassScheme:
    """Read a class scheme from a YAML file.

    Raises:
        ClassError: the file does not describe a scheme; names the field.
    """
    return parse(yamlfile.read(path), where=path)


def parse(content: Mapping[str, Any], *, where: str | Path | None = None) -> ClassScheme:
    """Make a class scheme of what a YAML or JSON file holds.

    Raises:
        ClassError: the content does not describe a scheme; names every field that is wrong.
    """
    try:
        return ClassScheme.model_validate(content)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in each['loc']) or 'scheme'}: {complaint(each)}"
            for each in error.errors()
        ]
        raise ClassError(
            f"is not a class scheme: {'; '.join(problems)}",
            where=where,
            fix='compare with: classes: [{name: water, color: "#2b83ba", values: [1]}]',
        ) from error


def _key(code: object) -> str:
    """One spelling for codes that are equal; empty for a missing one."""
    if hasattr(code, "item"):
        code = code.item()
    if not isinstance(code, str) and str(code) in MISSING:
        return ""
    if isinstance(code, float) and code.is_integer():
        code = int(code)
    return str(code).strip()
