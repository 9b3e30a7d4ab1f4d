"""The class scheme: the classes by id, and the label codes that mean each of them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, repeat
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
"""Unlabelled, ignored by the loss, nodata of rasters, masked in evaluation, skipped by polygons."""

EVERY = "*"
"""The code that stands for every polygon, whatever its code."""
MISSING = ("None", "nan", "NaT", "<NA>")
"""How Python, numpy and pandas write values that are not there."""
MAX_LISTED = 20
"""Codes listed in an error."""


def _colour(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?", value):
        raise ValueError('a colour is "#rrggbb" or "#rrggbbaa", in quotes')
    return value.lower()


def _writable(name: str) -> str:
    if NO_XML.search(name):
        raise ValueError("a name has no control characters: styles and projects cannot hold them")
    return unicodedata.normalize("NFC", name)


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
        name: the name that people see.
        color: "#rrggbb" or "#rrggbbaa".
        values: label codes that mean this class; "*" stands for every polygon. Without any, the
            class's name and its id are its codes.
        priority: polygons of higher priority are painted over those of lower; the class's id by
            default.
        burn: which pixels a polygon takes: those whose "centre" it covers, all that it "touched",
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


@dataclass(frozen=True, eq=False)
class CodeLookup:
    """Class ids of label codes, and the codes that belong to no class.

    The caller has to refuse unknown codes, in words that fit where they come from.

    Attributes:
        ids: (n,) uint8 class ids; `IGNORE` for codes that are missing, ignored or unknown.
        unknown: number of occurrences of each unknown code, the most frequent first; empty if the
            scheme defines what becomes of unknown codes.
    """

    ids: NDArray[np.uint8]
    unknown: Mapping[str, int]

    def list_unknown(self, unit: str = "x") -> str:
        """The most frequent unknown codes with their counts, for an error.

        Example:
            >>> import numpy as np
            >>> CodeLookup(np.array([255, 255], np.uint8), {"road": 2}).list_unknown()
            "'road' (2 x)"
        """
        first = islice(self.unknown.items(), MAX_LISTED)
        return ", ".join(f"{code!r} ({count} {unit})" for code, count in first)


class ClassScheme(BaseModel):
    """Ordered classes: a class's position is its id in every raster, chip, model and polygon.

    Attributes:
        classes: up to 255 classes with the ids 0, 1, 2 ...
        column: the attribute of a polygon layer that holds the code.
        unmapped: what becomes of a code that belongs to no class: "error", "ignore", or the name
            of the class that it is counted as.
        outside: what pixels under no polygon become: "ignore", or the name of a class.
        ignore: label codes that mean "not labelled".

    Example:
        >>> scheme = ClassScheme(classes=(
        ...     {"name": "land", "color": "#ffffff", "values": ["field", "forest"]},
        ...     {"name": "water", "color": "#2b83ba", "values": [1]}))
        >>> scheme.look_up(["forest", 1.0, "1"]).ids.tolist()
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
        """The id of pixels under no polygon: that of a class, or `IGNORE`."""
        return IGNORE if self.outside == "ignore" else self.names.index(self.outside)

    @property
    def priorities(self) -> tuple[int, ...]:
        """Painting order by id: higher numbers are painted over lower ones."""
        return tuple(i if c.priority is None else c.priority for i, c in enumerate(self.classes))

    def to_yaml(self) -> str:
        """The scheme as a class file; reading it gives an equal scheme."""
        import yaml

        content = self.model_dump(mode="json", exclude_defaults=True)
        return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))

    @cached_property
    def _by_code(self) -> dict[str, int]:
        """Ids by code; values outrank names and ids, and codes to ignore outrank all."""
        table: dict[str, int] = {}
        for index, each in enumerate(self.classes):
            if not each.values:
                table |= {_key(each.name): index, _key(index): index}
        for index, each in enumerate(self.classes):
            table |= {_key(code): index for code in each.values}
        return table | {_key(code): IGNORE for code in self.ignore}

    @property
    def codes(self) -> tuple[str, ...]:
        """All label codes that the scheme knows, ignored ones last."""
        return tuple(self._by_code)

    def list_codes(self) -> str:
        """The first `MAX_LISTED` codes that the scheme knows, for an error."""
        return ", ".join(repr(code) for code in self.codes[:MAX_LISTED])

    def look_up(self, codes: Iterable[object], counts: Iterable[int] | None = None) -> CodeLookup:
        """Find the class id of each label code.

        Numbers match by value and text by its characters: 1, 1.0 and "1" are one code. Missing
        codes (None, NaN) are not labelled. A code of no class becomes what ``unmapped`` names.

        Args:
            codes: n codes, such as one per polygon, or each distinct value of a raster.
            counts: how often each of them occurs; once without it.
        """
        import numpy as np

        keys = [_key(code) for code in codes]
        table = self._by_code
        everything = table.get(EVERY)
        strict = self.unmapped == "error" and everything is None
        unknown: Counter[str] = Counter()
        for key, count in zip(keys, repeat(1) if counts is None else counts, strict=False):
            if strict and key and key not in table:
                unknown[key] += int(count)
        other = IGNORE if self.unmapped in ("error", "ignore") else self.names.index(self.unmapped)
        other = other if everything is None else everything
        missing = IGNORE if everything is None else everything
        ids = [table.get(key, other) if key else missing for key in keys]
        return CodeLookup(np.array(ids, dtype=np.uint8), dict(unknown.most_common()))


def load_yaml(path: Path) -> ClassScheme:
    """Read a class scheme from a YAML file.

    Raises:
        ClassError: the file does not describe a scheme; names every wrong field.
        ConfigError: the file is missing, or is not strict YAML.
    """
    return parse(yamlfile.read(path), where=path)


def parse(content: Mapping[str, Any], *, where: str | Path | None = None) -> ClassScheme:
    """Make a class scheme from the content of a YAML or JSON file.

    Args:
        content: the parsed content.
        where: the file, for the error.

    Raises:
        ClassError: the content does not describe a scheme; names every wrong field.
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
    """The one spelling of equal codes; empty for a missing one."""
    if hasattr(code, "item"):
        code = code.item()
    if not isinstance(code, str) and str(code) in MISSING:
        return ""
    if isinstance(code, float) and code.is_integer():
        code = int(code)
    # an accent may be a character of its own, as on macOS: both spellings are one code
    return unicodedata.normalize("NFC", str(code).strip())
