"""The base of all option models.

A step declares its options once, as a subclass of `Options`. Command-line flags, YAML keys, the
JSON schema for editors and the tables of the documentation are derived from it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import ErrorDetails


def _drop_example(schema: dict[str, Any]) -> None:
    """Keep Python examples out of the descriptions that editors of YAML files show."""
    schema["description"] = schema.get("description", "").partition("\n\nExample:")[0]


class Options(BaseModel):
    """Options of a step: frozen; every field has a default; unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra=_drop_example,
    )


def complaint(error: ErrorDetails) -> str:
    """What is wrong with a value, without the prefix pydantic puts before a check's own words."""
    return error["msg"].removeprefix("Value error, ")


def _names(value: Any) -> Any:
    """Band names from "3,2,1" (a flag), ["3", "2,1"] (a repeated flag) or [3, 2, 1] (YAML)."""
    listed = [value] if isinstance(value, str | int) else value
    return [name.strip() for each in listed for name in str(each).split(",") if name.strip()]


class ReadOptions(Options):
    """How scenes are read; shared by all steps that open them."""

    crs: str | None = None
    """CRS of scenes that have none or a wrong one, such as EPSG:32633."""

    nodata: float | None = None
    """Nodata value, where the file states none or a wrong one."""

    alpha: int | None = Field(None, ge=1)
    """Number of the band that masks pixels without data, where the file does not mark it."""

    bands: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    """Bands to use, by name or by number from 1; all but alpha by default."""

    resampling: Literal["nearest", "bilinear", "cubic", "average"] = "bilinear"
    """How imagery is resampled: coarser bands of a stack, or scenes of another pixel size."""

    remote: bool = False
    """Also read scenes from http(s) and s3 addresses, by range requests."""
