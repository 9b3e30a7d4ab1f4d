"""The one declaration of a step's options.

A step's options are a subclass of `Options` that stands beside its function. The command line's
flags, the YAML keys, the JSON schema for editors and the tables in the docs come from it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import ErrorDetails


class Options(BaseModel):
    """Options of a step: frozen, every field with a default, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def complaint(error: ErrorDetails) -> str:
    """What is wrong with a value, in the words of its check; pydantic puts its own before them."""
    return error["msg"].removeprefix("Value error, ")


def _names(value: Any) -> Any:
    """Band names from "3,2,1", ["3", "2,1"] or [3, 2, 1]."""
    listed = [value] if isinstance(value, str | int) else value
    return [name.strip() for each in listed for name in str(each).split(",") if name.strip()]


class ReadOptions(Options):
    """How scenes are read; shared by every step that opens them."""

    crs: str | None = None
    """CRS of scenes that have none, or a wrong one, such as EPSG:32633."""

    nodata: float | None = None
    """Value that means "no data", where the file does not say so or says it wrongly."""

    alpha: int | None = Field(None, ge=1)
    """Number of a band that says which pixels are real, where the file does not say so."""

    bands: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    """Bands to use, by name or by number from 1; all but alpha when empty."""

    resampling: Literal["nearest", "bilinear", "cubic", "average"] = "bilinear"
    """How imagery comes onto another grid: coarser bands of a stack, another pixel size."""

    remote: bool = False
    """Read scenes from http(s) and s3 addresses too, by ranges."""
