"""Options of publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from geoseg.options import Options


def _rfc3339(value: str | None) -> str | None:
    """A date, with or without a time, as RFC 3339 in UTC; UTC also where no zone is given."""
    from datetime import UTC, datetime

    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a date, as in 2024-05-31 or 2024-05-31T10:20:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class PublishOptions(Options):
    """Options of `publish`.

    Example:
        >>> import geoseg
        >>> options = geoseg.PublishOptions(title="Lake", license="CC-BY-4.0", date="2024-06-01")
        >>> options.date
        '2024-06-01T00:00:00Z'
        >>> len(geoseg.publish("map", options=options)) > 5
        True
    """

    title: str = ""
    """Heading of the page, the project and the records; by default the name of the map's folder,
    or of its parent where the folder is called map."""

    polygons: tuple[Path, ...] = ()
    """Polygon files made from the map; by default those from its run, in its folder and the folder
    above."""

    imagery: Path | None = None
    """Image to lie under the map; by default the scene that was mapped."""

    labels: Path | None = None
    """Polygons to lie over the map, such as the training labels."""

    accuracy: Path | None = None
    """Output of geoseg evaluate --json for the map; by default the report.json beside or above the
    map, if it is about this map and not older."""

    date: Annotated[str | None, AfterValidator(_rfc3339)] = None
    """Acquisition date of the scene, 2024-05-31 or with a time; by default the date in the scene's
    tags, else the time the map was made."""

    credits: str = ""
    """Producer of imagery and map, for the print layout and the records."""

    license: str = Field("other", min_length=1)
    """Licence of the map, an SPDX id such as CC-BY-4.0."""

    tiles: bool = False
    """For a map larger than 4096 px, also write classes.pmtiles: every pixel for web maps and for
    `geoseg view`."""

    records: Literal["stac", "iso19139", "both"] = "stac"
    """Metadata to write: a STAC item and collection, an ISO 19139 record, or both."""
