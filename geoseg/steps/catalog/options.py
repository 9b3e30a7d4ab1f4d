"""Options of `add_entry`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from geoseg.options import Options


class AddOptions(Options):
    """Options of `add_entry`."""

    title: str = ""
    """Title of the data set; its id by default."""

    description: str = ""
    """Description of the data set; its title by default."""

    commercial_use: Literal["yes", "no", "see source"] = "see source"
    """Whether the licence allows commercial use."""

    license_url: str | None = None
    """Address of the licence text; required if the licence is "other"."""

    date: str | None = None
    """Acquisition date: 2024-05-31, or first and last day as 2024-05-01/2024-05-31."""

    classes: Path | None = None
    """Class file of the labels; with it, single-band rasters count as labels."""

    copy_in: bool = False
    """Copy files from outside the catalog's folder into it."""
