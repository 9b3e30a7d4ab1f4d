"""A class raster to a polygon layer that opens styled."""

from __future__ import annotations

import re
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat

from geoseg import files
from geoseg.errors import OutputError
from geoseg.job.pool import WorkerOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyproj import CRS

    from geoseg.classes import ClassScheme
    from geoseg.polygonize import DouglasPeucker, Regions, Rules, Visvalingam
    from geoseg.raster import FileSource, RasterSource

__all__ = ["VectorizeOptions", "vectorize"]

type Scheme = ClassScheme | str | Path

COLUMNS = (
    "class_id", "class_name", "area_m2", "perimeter_m", "confidence", "n_pixels", "touches_edge",
    "source", "run",
)  # fmt: skip
TAKEN = (*COLUMNS, "fid", "ogc_fid", "id", "geom", "geometry", "bbox")
"""Names that a statistic cannot have: our own columns, and those that formats bring."""


def _simplification(text: str) -> str:
    if not re.fullmatch(r"(dp|vw):(\d+\.?\d*|\.\d+)", text) or not 0 < _amount(text) < inf:
        raise ValueError(
            "say dp:METRES, such as dp:2.5, or vw:SQUARE_METRES, such as vw:25, of more than 0"
        )
    return text


def _amount(simplify: str) -> float:
    return float(simplify.partition(":")[2])


def _stats(pairs: tuple[str, ...]) -> tuple[str, ...]:
    names = [pair.partition("=")[0] for pair in pairs]
    for name, pair in zip(names, pairs, strict=True):
        if not re.fullmatch(r"[A-Za-z]\w*=.+", pair, re.ASCII):
            raise ValueError(f"say NAME=PATH, such as height=dsm.tif, and not {pair!r}")
        if name.lower() in TAKEN:
            raise ValueError(f"{name!r} is a column already: choose another name")
    if len({name.lower() for name in names}) < len(names):
        raise ValueError(f"every statistic needs a name of its own, not {', '.join(names)}")
    return pairs


class VectorizeOptions(WorkerOptions):
    """How regions become polygons, and what the polygons say."""

    min_area_m2: FiniteFloat = Field(default=0.0, ge=0)
    """Regions smaller than this join the neighbour they share most of their outline with; 0 keeps
    all."""

    max_hole_m2: FiniteFloat = Field(default=0.0, ge=0)
    """What lies within one region and is smaller than this joins it; 0 keeps all."""

    simplify: Annotated[str, AfterValidator(_simplification)] | None = None
    """Fewer vertices: dp:2.5 moves outlines by up to 2.5 metres (Douglas-Peucker), vw:25 drops
    corners of up to 25 square metres (Visvalingam-Whyatt); neighbours keep sharing their edges."""

    smooth: int = Field(default=0, ge=0, le=5)
    """How many times corners are cut, to round outlines; neighbours keep sharing their edges."""

    split_at: FiniteFloat | None = Field(default=None, gt=0)
    """Cut polygons along a mesh of this many kilometres in the map's CRS, so that none becomes too
    large to handle."""

    connectivity: Literal[4, 8] = 4
    """4: pixels belong together over their sides; 8: also over their corners."""

    stat: Annotated[tuple[str, ...], AfterValidator(_stats)] = ()
    """A column with the mean of a raster over each polygon, as NAME=PATH, such as height=dsm.tif;
    the raster may have another grid and CRS. May be given several times."""

    layer: str = Field(default="landcover", min_length=1)
    """Name of the layer, in formats that have layers."""

    @property
    def rasters(self) -> dict[str, Path]:
        """The raster of each statistic."""
        pairs = (pair.partition("=") for pair in self.stat)
        return {name: Path(path) for name, _, path in pairs}

    def rooted(self, folder: Path) -> VectorizeOptions:
        """The same with paths relative to ``folder`` made relative to where we are."""
        stat = tuple(f"{name}={folder / path}" for name, path in self.rasters.items())
        return self.model_copy(update={"stat": stat})


def vectorize(
    classes: str | Path,
    out: str | Path,
    *,
    confidence: str | Path | None = None,
    scheme: Scheme | None = None,
    options: VectorizeOptions | None = None,
) -> Path:
    """Write the regions of a class raster as polygons, with a QGIS style beside them.

    The raster may be of any size: regions are traced, measured and written as they end. Only
    footprints of classes with ``regularize: true`` are kept until all are known, as they must not
    overlap; they are the last rows. The polygons are the same, to the byte, whatever the workers.

    Args:
        classes: the class raster, such as ``map/classes.tif``.
        out: the layer to write; .gpkg, .geojson, .geojsonl, .ndjson, .fgb or .parquet picks the
            format.
        confidence: a raster of 0 to 100 on the same grid; ``confidence.tif`` beside the classes
            where there is one.
        scheme: what the pixel values mean. Without it ``classes.yaml`` beside the raster says so,
            else the raster's own names and colours. A class file's ids are the pixel values; a
            style (.qml, .gpkg, .tif) names the values itself.
        options: how regions become polygons.

    Returns:
        ``out``. ``<stem>.qml`` is written beside it.

    Raises:
        ClassError: nothing says what a pixel value means.
        OutputError: the output is an input, would restyle it, names no format, or is being written
            by another run.
        ConfigError: the Dask cluster cannot be used.
        RasterError: a raster is broken.
        GridError: the confidence lies on another grid, or a CRS is not tied to the ground.
        RetryError: the disk is full.
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
        write_features(out, map(table.features, finished), plan)
        files.write_bytes(beside, qml.encode())
    return out


def _check_out(out: Path, *inputs: Path) -> None:
    if out.resolve() in {path.resolve() for path in inputs}:
        raise OutputError("the output is the input", where=out, fix="choose another -o")
    for path in inputs:
        if out.resolve().with_suffix(".qml") == path.resolve().with_suffix(".qml"):
            raise OutputError(
                f"QGIS would give the polygons' style, {out.stem}.qml, to {path.name} too",
                where=out,
                fix=f"choose another name: -o {out.with_stem('landcover')}",
            )


def _run_of(classes: Path) -> str:
    """The key of the run that made the raster, shortened; empty where it is not known."""
    from geoseg.job import read_record

    record = read_record(classes.with_name("run.json"))
    return record.key[:12] if record else ""


def _confidence(classes: Path, confidence: str | Path | None) -> RasterSource | None:
    beside = classes.with_name("confidence.tif")
    if confidence is None and beside.is_file() and beside != classes:
        confidence = beside
    return None if confidence is None else _file(Path(confidence))


def _file(path: Path) -> FileSource:
    """A raster that workers find too, wherever they were started."""
    from geoseg.raster import FileSource

    return FileSource(path.absolute(), title=str(path))


def _one_band(path: Path) -> RasterSource:
    from geoseg.errors import RasterError
    from geoseg.raster import FileSource

    source = FileSource(path)
    if len(source.bands) != 1:
        raise RasterError(
            "a statistic is taken of one band",
            where=path,
            got=f"{len(source.bands)} bands",
            fix="write the band to a file of its own: gdal_translate -b 1",
        )
    return source


def _regions(
    source: RasterSource, confidence: RasterSource | None, options: VectorizeOptions
) -> Iterator[Regions]:
    """The regions, traced in threads of this process, or where the options say."""
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

    amount = _amount(text)
    return DouglasPeucker(amount) if text.startswith("dp") else Visvalingam(amount)
