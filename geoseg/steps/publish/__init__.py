"""Publish a map: a web page, styles, a QGIS project and metadata records."""

from __future__ import annotations

from pathlib import Path

from geoseg.steps.publish.options import PublishOptions

__all__ = ["PublishOptions", "publish"]


def publish(land_map: str | Path, *, options: PublishOptions | None = None) -> list[Path]:
    """Write what browsers, QGIS, map servers and catalogs need to open a map, beside the map.

    Rasters, polygons, labels and imagery stay as they are. Paths in the files written are
    relative, so that the folder can be moved together with the files around it. The same map
    gives the same bytes.

    Args:
        land_map: the map directory, or the classes.tif in it.
        options: title, polygons, imagery, labels, accuracy, credits, tiles, records.

    Returns:
        The files written: map.qgz first, the project to open in QGIS, then map.qlr and
        report.html.

    Raises:
        RasterError: the path is not a finished map, or the imagery cannot be read.
        ClassError: its classes.yaml is not a class file.
        GridError: its CRS is not tied to the ground.
        VectorError: polygons or labels cannot be read.
        InputError: polygons or accuracy report do not belong to the map.
        OutputError: the folder cannot be written to.
        RetryError: the disk is full.

    Example:
        >>> import geoseg
        >>> geoseg.publish("map")[0].name
        'map.qgz'
    """
    from geoseg.layout import ARRANGED_IMAGERY
    from geoseg.maps.contents import Description, contents_of
    from geoseg.maps.style_files import write_styles
    from geoseg.metadata.iso import write_iso
    from geoseg.metadata.stac import write_stac
    from geoseg.qgis.project import write_project
    from geoseg.report.finished_map import write_page

    options = options or PublishOptions()
    contents = contents_of(
        Path(land_map),
        Description(options.title, options.date, options.credits, options.license),
        polygons=options.polygons,
        imagery=options.imagery,
        labels=options.labels,
    )
    # Records and page list the files that are there, so those they list come first.
    styles = write_styles(contents)
    project = write_project(contents)
    records = write_stac(contents) if options.records != "iso19139" else []
    records += write_iso(contents) if options.records != "stac" else []
    page = write_page(contents, options.accuracy, tiles=options.tiles)
    vrt = contents.folder / ARRANGED_IMAGERY
    joined = [vrt] if contents.imagery and contents.imagery.path == vrt else []
    return [*project, *page, *records, *styles, *joined]
