"""From a class raster to a polygon layer that opens styled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from geoseg import files, layout
from geoseg.errors import OutputError
from geoseg.steps.vectorize.options import VectorizeOptions, amount_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyproj import CRS

    from geoseg.classes import ClassScheme
    from geoseg.polygonize import DouglasPeucker, Regions, Rules, Visvalingam
    from geoseg.raster import FileSource, RasterSource

__all__ = ["VectorizeOptions", "vectorize"]

type Scheme = ClassScheme | str | Path


def vectorize(
    classes: str | Path,
    out: str | Path,
    *,
    confidence: str | Path | None = None,
    scheme: Scheme | None = None,
    options: VectorizeOptions | None = None,
) -> Path:
    """Turn the regions of a class raster into polygons, with a QGIS style beside them.

    The raster may be of any size: each region is traced, measured and written as soon as it is
    complete. Only footprints of classes with ``regularize: true`` wait until all are known, as
    they must not overlap; they are the last rows. The output is identical, to the byte, for any
    number of workers.

    Args:
        classes: the class raster, one band of integers, such as ``map/classes.tif``.
        out: the layer to write; its extension sets the format: .gpkg, .geojson, .geojsonl,
            .ndjson, .fgb or .parquet.
        confidence: a raster of percentages, 0 to 100, on the same grid; by default
            ``confidence.tif`` beside the classes, if it exists.
        scheme: the classes of the pixel values; by default ``classes.yaml`` beside the raster,
            else the raster's own names and colours. In a class file, ids are pixel values; a
            style (.qml, .gpkg, .tif) lists the values itself.
        options: which regions to keep, how to draw them, and the columns.

    Returns:
        ``out``. ``<stem>.qml`` is written beside it.

    Raises:
        ClassError: a pixel value has no class.
        OutputError: the output is an input, would restyle one, has an unknown extension, or is
            being written by another run.
        ConfigError: the Dask cluster cannot be used.
        RasterError: a raster is broken, or one for a statistic has several bands.
        GridError: the confidence is on another grid, or a CRS has no relation to the Earth.
        RetryError: the disk is full.

    Example:
        >>> import geoseg
        >>> geoseg.vectorize("map/classes.tif", "landcover.gpkg").name
        'landcover.gpkg'
        >>> import geopandas
        >>> frame = geopandas.read_file("landcover.gpkg", layer="landcover")
        >>> frame.loc[frame.class_name == "water", ["n_pixels", "touches_edge"]].values.tolist()
        [[10000, False]]
    """
    from geoseg import style
    from geoseg.job import hold_file
    from geoseg.steps.vectorize.columns import Table
    from geoseg.steps.vectorize.footprints import with_footprints
    from geoseg.steps.vectorize.rows import portions, rows_of
    from geoseg.vector import check_suffix, write_features

    classes, out, options = Path(classes), Path(out), options or VectorizeOptions()
    _check_out(out, classes, *options.rasters.values())
    check_suffix(out)
    known, by_value = style.scheme_of(classes, scheme)
    source = _file(classes)
    table = Table(
        source.geobox,
        known.names,
        {name: _one_band(path) for name, path in options.rasters.items()},
        source=classes.name,
        run=_run_of(classes),
    )
    regions = _regions(source, _confidence(classes, confidence), options)
    finished = portions(
        with_footprints(rows_of(regions, known, by_value, classes), known, source.geobox)
    )
    qml, beside = style.polygons_qml(known), out.with_suffix(".qml")
    plan = table.plan(options.layer, qml, style.polygons_sld(known, options.layer))
    with hold_file(out):
        files.clear_leftovers(beside)
        _check_ours(out, beside)
        write_features(out, map(table.features, finished), plan)
        files.write_bytes(beside, qml.encode())
    return out


def _check_out(out: Path, *inputs: Path) -> None:
    if out.resolve() in {path.resolve() for path in inputs}:
        raise OutputError("the output is also an input", where=out, fix="choose another -o")
    for path in inputs:
        if out.resolve().with_suffix(".qml") == path.resolve().with_suffix(".qml"):
            raise OutputError(
                f"QGIS would apply the polygons' style, {out.stem}.qml, to {path.name} as well",
                where=out,
                fix=f"choose another name: -o {out.with_stem('landcover')}",
            )


def _check_ours(out: Path, style: Path) -> None:
    """Refuse to replace polygons and a style that geoseg did not write."""
    from geoseg.style import is_written_here
    from geoseg.vector import check_replaceable

    check_replaceable(out, ("class_id", "class_name"))
    if style.exists() and not is_written_here(style):
        raise OutputError(
            "geoseg did not write this style, and does not replace it",
            where=style,
            fix="choose another -o, or remove the file first",
        )


def _run_of(classes: Path) -> str:
    """The first 12 digits of the key of the run that made the raster; empty if unknown."""
    from geoseg.job import read_record

    record = read_record(classes.with_name(layout.RECORD))
    return record.key[:12] if record else ""


def _confidence(classes: Path, confidence: str | Path | None) -> RasterSource | None:
    beside = classes.with_name(layout.CONFIDENCE)
    if confidence is None and beside.is_file() and beside != classes:
        confidence = beside
    return None if confidence is None else _file(Path(confidence))


def _file(path: Path) -> FileSource:
    """A raster with an absolute path: workers may run in another folder."""
    from geoseg.raster import FileSource

    return FileSource(path.absolute(), title=str(path))


def _one_band(path: Path) -> RasterSource:
    from geoseg.errors import RasterError
    from geoseg.raster import FileSource

    source = FileSource(path)
    if len(source.bands) != 1:
        raise RasterError(
            "a statistic needs a single band",
            where=path,
            got=f"{len(source.bands)} bands",
            fix="extract the band: gdal_translate -b 1",
        )
    return source


def _regions(
    source: RasterSource, confidence: RasterSource | None, options: VectorizeOptions
) -> Iterator[Regions]:
    """The regions, traced by threads of this process or by the workers of the options."""
    from geoseg.grid import crs_of
    from geoseg.job import on_workers
    from geoseg.polygonize import trace
    from geoseg.progress import track

    rules, spread = _rules(options, crs_of(source.geobox).proj), on_workers(options, label="strips")
    regions = trace(source, confidence=confidence, rules=rules, spread=spread)
    return regions if spread else track(regions, label="polygons", total=None)


def _rules(options: VectorizeOptions, crs: CRS) -> Rules:
    from geoseg.ground import metres_per_unit
    from geoseg.polygonize import Rules

    return Rules(
        connectivity=options.connectivity,
        min_area_m2=options.min_area_m2,
        max_hole_m2=options.max_hole_m2,
        simplify=_simplify(options.simplify) if options.simplify else None,
        smooth=options.smooth,
        split_at=options.split_at and options.split_at * 1000 / metres_per_unit(crs),
    )


def _simplify(text: str) -> DouglasPeucker | Visvalingam:
    from geoseg.polygonize import DouglasPeucker, Visvalingam

    amount = amount_of(text)
    return DouglasPeucker(amount) if text.startswith("dp") else Visvalingam(amount)
