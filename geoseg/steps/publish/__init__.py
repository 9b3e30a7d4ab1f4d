"""Everything that lets a map be opened: a page, styles, a QGIS project, a STAC item."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from geoseg.options import Options

__all__ = ["PublishOptions", "publish"]


def _moment(value: str | None) -> str | None:
    """A date, or a date and time, as RFC 3339 has it; in UTC where it says no zone."""
    from datetime import UTC, datetime

    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("is no date: write 2024-05-31 or 2024-05-31T10:20:00Z") from None
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
    """Heading of the project, the print layout and the records; by default the name of the map's
    folder, or of the one above where that is called map."""

    polygons: tuple[Path, ...] = ()
    """Polygon files made from the map; by default those in its folder, and the folder above, that
    carry its run."""

    imagery: Path | None = None
    """Image to lie under the map; the scene that was mapped by default."""

    labels: Path | None = None
    """Polygons to lie over the map, such as those the model learned from."""

    accuracy: Path | None = None
    """What geoseg evaluate --json has said about the map; report.json beside or above it by
    default, if it is about this map and not older."""

    date: Annotated[str | None, AfterValidator(_moment)] = None
    """When the scene was taken, 2024-05-31 or with a time; what the scene says by default, else
    when the map was made."""

    credits: str = ""
    """Who made imagery and map; stands on the print layout and in the records."""

    license: str = Field("other", min_length=1)
    """Licence of the map, an SPDX id such as CC-BY-4.0."""

    tiles: bool = False
    """Of a map that is larger than 4096 px, write classes.pmtiles too: every pixel for web maps and
    for `geoseg view`."""

    records: Literal["stac", "iso19139", "both"] = "stac"
    """Metadata to write: a STAC item and collection, an ISO 19139 record, or both."""


def publish(land_map: str | Path, *, options: PublishOptions | None = None) -> list[Path]:
    """Write beside a map what browsers, QGIS, map servers and catalogs open it by.

    The map itself is left as it is, and so are polygons, labels and imagery. Paths in what is
    written are relative, so that the folder can be moved together with what lies around it.

    Args:
        land_map: the map directory, or the classes.tif in it.
        options: title, polygons, imagery, labels, accuracy, credits, tiles, records.

    Returns:
        The files written: map.qgz first, the project to double-click in QGIS, then report.html.

    Raises:
        RasterError: the path is no finished map.
        ClassError: its classes.yaml is not one.
        InputError: a file the options name cannot be read, or does not belong to the map.
        OutputError: the folder cannot be written to.
        RetryError: the disk is full.

    Example:
        >>> import geoseg
        >>> geoseg.publish("map")[0].name
        'map.qgz'
    """
    from geoseg.maps.contents import contents_of
    from geoseg.maps.imagery import ARRANGED
    from geoseg.qgis.project import write_qgis
    from geoseg.steps.publish.page import write_page
    from geoseg.steps.publish.records import write_records
    from geoseg.steps.publish.styles import write_styles

    contents = contents_of(Path(land_map), options or PublishOptions())
    styles = write_styles(contents)
    project = write_qgis(contents)
    arranged = contents.folder / ARRANGED
    bands = [arranged] if contents.imagery and contents.imagery.path == arranged else []
    records = write_records(contents)
    return [*project, *write_page(contents), *records, *styles, *bands]
