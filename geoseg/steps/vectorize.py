"""A class raster to a polygon layer that opens styled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from geoseg import files
from geoseg.errors import ClassError, OutputError
from geoseg.options import Options

if TYPE_CHECKING:
    import numpy as np
    from geopandas import GeoDataFrame
    from numpy.typing import NDArray

    from geoseg.classes import ClassScheme
    from geoseg.raster import RasterSource

type Scheme = ClassScheme | str | Path


class VectorizeOptions(Options):
    """How regions become polygons."""

    min_area_m2: float = Field(default=0.0, ge=0)
    """Regions smaller than this join their largest neighbour; 0 keeps all."""

    connectivity: Literal[4, 8] = 4
    """4: pixels belong together over their sides; 8: also over their corners."""

    layer: str = Field(default="landcover", min_length=1)
    """Name of the layer, in formats that have layers."""


def vectorize(
    classes: str | Path,
    out: str | Path,
    *,
    confidence: str | Path | None = None,
    scheme: Scheme | None = None,
    options: VectorizeOptions | None = None,
) -> Path:
    """Write the regions of a class raster as polygons, with a QGIS style beside them.

    Args:
        classes: the class raster, such as ``map/classes.tif``.
        out: the layer to write; .gpkg, .geojson, .fgb or .parquet picks the format.
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
        OutputError: the output is the input, would restyle it, or names no format.
        RasterError: a raster is broken.
    """
    from geoseg import style
    from geoseg.raster import FileSource
    from geoseg.trace import trace
    from geoseg.vector import check_suffix, write_polygons

    classes, out, options = Path(classes), Path(out), options or VectorizeOptions()
    _check_out(classes, out)
    check_suffix(out)
    known, by_value = style.scheme_of(classes, scheme)
    frame = trace(
        FileSource(classes),
        confidence=_confidence(classes, confidence),
        min_area_m2=options.min_area_m2,
        connectivity=options.connectivity,
    )
    frame["class_id"] = _ids(frame, known, by_value, classes)
    frame.insert(1, "class_name", [known.names[i] for i in frame["class_id"]])
    frame.insert(len(frame.columns) - 1, "source", classes.name)
    frame.insert(len(frame.columns) - 1, "run", _run_of(classes))
    qml = style.polygons_qml(known)
    write_polygons(frame, out, layer=options.layer, qml=qml)
    files.write_bytes(out.with_suffix(".qml"), qml.encode())
    return out


def _check_out(classes: Path, out: Path) -> None:
    if out.resolve() == classes.resolve():
        raise OutputError("the output is the input", where=out, fix="choose another -o")
    if out.resolve().with_suffix(".qml") == classes.resolve().with_suffix(".qml"):
        raise OutputError(
            f"QGIS would give the polygons' style, {out.stem}.qml, to {classes.name} too",
            where=out,
            fix=f"choose another name: -o {out.with_stem('landcover')}",
        )


def _run_of(classes: Path) -> str:
    """The key of the run that made the raster, shortened; empty where it is not known."""
    from geoseg.job import read_record

    record = read_record(classes.with_name("run.json"))
    return record.key[:12] if record else ""


def _confidence(classes: Path, confidence: str | Path | None) -> RasterSource | None:
    from geoseg.raster import FileSource

    beside = classes.with_name("confidence.tif")
    if confidence is None and beside.is_file() and beside != classes:
        confidence = beside
    return None if confidence is None else FileSource(Path(confidence))


def _ids(
    frame: GeoDataFrame, scheme: ClassScheme, by_value: bool, where: Path
) -> NDArray[np.int32]:
    """The class ids of the pixel values in ``class_id``."""
    import numpy as np

    values = frame["class_id"].to_numpy()
    if by_value:
        return scheme.ids(values, where=where).astype(np.int32)
    unknown = frame[(values < 0) | (values >= len(scheme.classes))]
    if len(unknown):
        counts = unknown.groupby("class_id")["n_pixels"].sum()
        raise ClassError(
            f"{len(counts)} pixel value(s) are no class of the scheme",
            where=where,
            got=", ".join(f"{value} ({count} px)" for value, count in counts.items()),
            wanted=f"0 to {len(scheme.classes) - 1}: {', '.join(scheme.names)}",
            fix="give the class file the map was made with",
        )
    return np.asarray(values, dtype=np.int32)
