"""Entries of folders, YAML and ONNX files: chips, models, maps, and scenes of several files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from geoseg import classes, files, ground, layout, yamlfile
from geoseg.classes import ClassScheme
from geoseg.errors import GeosegError, InputError
from geoseg.gdal_messages import collect_messages
from geoseg.layout import CLASSES, RECORD
from geoseg.problems import Problem, merge_files, problem_from, worst_first
from geoseg.raster import open_scene
from geoseg.raster.drivers import SUFFIXES
from geoseg.steps.info.entry import Entry, class_rows, entry, whole_number
from geoseg.steps.info.model_entries import folds_entry, model_entry
from geoseg.steps.info.raster_entry import raster_entry

ONNX = ".onnx"


def folder_entry(path: Path, *, deep: bool) -> Entry:
    """Describe a folder, a YAML or an ONNX file by its content.

    Raises:
        GeosegError: it is broken, or nothing that geoseg knows.
    """
    if path.is_file() and path.suffix.lower() == ONNX:
        return model_entry(path)
    describe = {"chips": _chips, "model": model_entry, "folds": folds_entry}
    kind = layout.kind_of(path)
    if kind in describe:
        return describe[kind](path)
    if kind == "map":
        return _map(path, deep=deep)
    if kind == "unfinished":
        raise InputError("holds an unfinished run", where=path, fix="run the same command again")
    if path.is_dir() and not any(each.suffix.lower() in SUFFIXES for each in path.iterdir()):
        inside = sorted(each.name for each in path.iterdir())
        raise InputError(
            "holds no scene, chips, model or map",
            where=path,
            got=", ".join(inside[:10]) or "an empty folder",
            fix=f"look at its files: geoseg info {path}/*",
        )
    if path.is_file() and "classes" in yamlfile.read(path):
        scheme = classes.load_yaml(path)
        text = f"describes {len(scheme.classes)} classes, for --classes"
        note = Problem("class-file", "note", text)
        return entry(path, "unknown", [note], classes=class_rows(scheme))
    return _scene(path, deep=deep)


def _chips(path: Path) -> Entry:
    from geoseg.chips.chip_set import open_chips

    chips = open_chips(path)
    spec = chips.spec
    counts = {name: int(n) for name, n in chips.index["split"].value_counts().items()}
    rows = _class_problems(spec.scheme, spec.pixels)
    for split in ("train", "val"):
        if not counts.get(split):
            text, fix = f"no chip is in the split {split!r}", "geoseg tile with a smaller --block"
            rows.append(Problem("empty-split", "error", text, fix))
    if spec.overlap_m2 > 0:
        text = f"training and held-out chips share {spec.overlap_m2:g} m2"
        rows.append(Problem("leak", "error", text, "geoseg tile again"))
    return entry(
        path,
        "chips",
        rows,
        width=spec.size,
        height=spec.size,
        bands=len(spec.bands),
        dtype=spec.dtype,
        band_names=[band.name for band in spec.bands],
        gsd_m=spec.gsd_m,
        chips=counts,
        classes=class_rows(spec.scheme),
        pixels={name: list(n) for name, n in spec.pixels.items()},
        scenes=[scene.name for scene in spec.scenes],
        overlap_m2=spec.overlap_m2,
    )


def _class_problems(scheme: ClassScheme, pixels: dict[str, tuple[int, ...]]) -> list[Problem]:
    rows = []
    for split, counts in pixels.items():
        absent = [name for name, n in zip(scheme.names, counts, strict=True) if not n]
        if absent and sum(counts) and split != "buffer":
            text = f"no pixel of {', '.join(absent)} is labelled in the split {split!r}"
            rows.append(Problem("class-missing", "warning", text, "label some, or change --seed"))
    return rows


def _map(path: Path, *, deep: bool) -> Entry:
    """The entry of a map's class raster, with the counts of its record."""
    from geoseg.job.record import read_record

    looked = raster_entry(path / CLASSES, deep=deep)
    record = read_record(path / RECORD)
    rows: list[Problem] = [row for row in looked["problems"] if row.code != "palette"]
    pixels: dict[str, int] = {}
    if record is None:
        text = f"there is no {RECORD}, the record of how it was made"
        rows.append(Problem("no-record", "warning", text, "make it with geoseg predict"))
    else:
        pixels = dict(record.counts.get("pixels", {}))
        rows += _changed(path, dict(record.outputs), deep=deep)
    if any(layout.work_folders(path)):
        text = "it holds the parts of an unfinished run"
        rows.append(Problem("unfinished", "warning", text, "run the same command again"))
    total = sum(pixels.values()) or 1
    shares = [{"name": name, "pixels": n, "share": n / total} for name, n in pixels.items()]
    made = {} if record is None else {"finished": record.finished, "counts": dict(record.counts)}
    described = {"path": str(path), "kind": "map", "classes": shares, **made}
    return looked | described | {"problems": worst_first(rows)}


def _changed(path: Path, outputs: dict[str, str], *, deep: bool) -> list[Problem]:
    """Outputs in the record that are missing; with ``deep``, also those with other bytes."""
    lost = [name for name in outputs if not (path / name).is_file()]
    rows = []
    if lost:
        text = f"{', '.join(lost)} is not there"
        rows.append(Problem("output-missing", "error", text, "run the same command again"))
    other = [
        n for n, d in outputs.items() if deep and n not in lost and files.sha256(path / n) != d
    ]
    if other:
        text = f"{', '.join(other)} has changed since it was made"
        rows.append(Problem("output-changed", "warning", text, "run the same command again"))
    return rows


def _scene(path: Path, *, deep: bool) -> Entry:
    """The entry of a folder of bands or a YAML file; a problem its files share is listed once."""
    with collect_messages():
        try:
            source = open_scene(path)
        except GeosegError as error:
            if path.is_file():
                raise
            return _no_scene(path, error)
        looked = [
            raster_entry(each, deep=deep)
            for each in dict.fromkeys(source.paths)
            if isinstance(each, Path) and each.suffix.lower() in SUFFIXES
        ]
        gsd_m = ground.gsd_m(source.geobox)
    finest = min(looked, key=lambda each: float(each["gsd_m"] or 0))
    height, width = source.geobox.shape
    return entry(
        path,
        "scene",
        merge_files((Path(each["path"]).name, each["problems"]) for each in looked),
        crs=finest["crs"],
        crs_name=finest["crs_name"],
        width=width,
        height=height,
        bands=len(source.bands),
        dtype=str(source.dtype),
        nodata=whole_number(source.bands[0].nodata),
        band_names=[band.name for band in source.bands],
        gsd_m=gsd_m,
        files=[each["path"] for each in looked],
    )


def _no_scene(path: Path, error: GeosegError) -> Entry:
    """The entry of a folder of rasters that are not the bands of one scene."""
    inside = sorted(str(each) for each in path.iterdir() if each.suffix.lower() in SUFFIXES)
    found = problem_from(error, path)
    fixes = filter(None, (found.fix, f"look at each: geoseg info {path}/*"))
    found = replace(found, fix="; or ".join(fixes))
    return entry(path, "unknown", [found], files=inside)
