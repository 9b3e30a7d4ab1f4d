"""Provenance of a map as rows of names and values: inputs, models, options, software."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoseg import grid, ground
from geoseg.errors import GridError
from geoseg.job import Record
from geoseg.maps.contents import model_name, model_specs
from geoseg.report.class_areas import Areas
from geoseg.report.number_text import day, duration, percent, setting, size, whole
from geoseg.report.page_content import PageContent

type Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Provenance:
    """Provenance of a map.

    Attributes:
        inputs: path, size and sha256 of each input file.
        models: facts about each model.
        options: options of the run that were set.
        run: time, duration and engine of the run.
        versions: versions of the software.
    """

    inputs: tuple[tuple[str, str, str], ...]
    models: tuple[Facts, ...]
    options: Facts
    run: Facts
    versions: Facts


def provenance_of(record: Record) -> Provenance:
    """Format the record of a run."""
    options = {key: value for key, value in record.options.items() if key != "model"}
    return Provenance(
        inputs=tuple(_input(each) for each in record.inputs),
        models=tuple(_model(spec) for spec in model_specs(record)),
        options=tuple((key, setting(value)) for key, value in options.items() if _is_set(value)),
        run=tuple(_run(record)),
        versions=tuple((name, str(version)) for name, version in record.versions.items()),
    )


def facts_of(content: PageContent) -> list[str]:
    """A few short facts for the head of the page: scene, size, CRS, models, date."""
    facts, record = [], content.record
    if record and record.inputs:
        facts.append(Path(_input(record.inputs[0])[0]).name)
    if content.classes is not None:
        geobox = content.classes.geobox
        height, width = geobox.shape
        facts.append(f"{whole(width)} x {whole(height)} px{_pixel(geobox)}")
        crs = grid.crs_of(geobox)
        facts.append(f"EPSG:{crs.epsg}" if crs.epsg else str(crs.proj.name))
    if record:
        facts += [model_name(spec) for spec in model_specs(record)]
        facts += [f"mapped {day(record.finished)}"] if record.finished else []
    return facts


def left_out(record: Record | None, areas: Areas | None) -> Iterator[str]:
    """Sentences on pixels without a class, and on skipped windows."""
    counts = record.counts if record else {}
    if areas is not None and areas.nothing:
        yield (
            f"{percent(1 - areas.observed)} of the raster ({whole(areas.nothing)} px) has no class,"
            " because the scene has no data there or it is outside the area of interest. Areas and"
            " shares leave it out."
        )
    for key, text in _COUNTED.items():
        if isinstance(counts.get(key), int) and counts[key] > 0:
            yield text.format(whole(counts[key]))


_COUNTED = {
    "skipped_windows": "{} windows had nothing to map and did not go through the model.",
    "unchanged_windows": "{} windows had not changed and were copied from an earlier map.",
    "outside_pixels": "{} px lie outside the area of interest and were not read.",
}


def _input(described: Mapping[str, Any]) -> tuple[str, str, str]:
    count = described.get("bytes")
    return (
        str(described.get("path", "")),
        size(count) if isinstance(count, int) else "",
        str(described.get("sha256", "")),
    )


def _pixel(geobox: Any) -> str:
    try:
        return f" of {ground.gsd_m(geobox):.3g} m"
    except GridError:
        return ""


def _is_set(value: Any) -> bool:
    return value not in (None, "", [], False)


def _model(spec: Mapping[str, Any]) -> Facts:
    metrics = spec.get("metrics") or {}
    rows = {
        "Model": model_name(spec),
        "Bands": setting(spec.get("bands")),
        "Pixel size": f"{spec['gsd_m']:.3g} m" if spec.get("gsd_m") else "",
        "Context": f"{spec['halo']} px" if spec.get("halo") else "",
        "Temperature": setting(spec.get("temperature")),
        "Validation mean IoU": percent(metrics.get("val_miou")) if "val_miou" in metrics else "",
        "Pretrained": setting(spec.get("origin")) if spec.get("origin") else "",
        "Licence": str(spec.get("licence") or ""),
        "Weights sha256": str(spec.get("weights_sha256") or ""),
    }
    return tuple((name, value) for name, value in rows.items() if value)


def _run(record: Record) -> Iterator[tuple[str, str]]:
    yield "Run", record.key
    yield "Finished", record.finished
    yield "Time", duration(record.seconds)
    choice = record.counts.get("choice")
    if isinstance(choice, Mapping):
        engine = choice.get("engine")
        if isinstance(engine, Mapping):
            yield "Engine", f"{engine.get('name')} {engine.get('precision')}"
        yield "Window", f"{choice.get('window')} px"
    if isinstance(record.counts.get("windows"), int):
        yield "Windows mapped", whole(record.counts["windows"])
