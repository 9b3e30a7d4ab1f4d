"""The records of a map: STAC, ISO 19139, or both."""

from __future__ import annotations

from pathlib import Path

from geoseg.maps.contents import Contents
from geoseg.metadata.iso import write_iso
from geoseg.metadata.stac import write_stac

WRITERS = {"stac": (write_stac,), "iso19139": (write_iso,), "both": (write_stac, write_iso)}


def write_records(contents: Contents) -> list[Path]:
    """Write what catalogs read, of the kinds that the options name.

    Returns:
        The files.
    """
    return [path for write in WRITERS[contents.options.records] for path in write(contents)]
