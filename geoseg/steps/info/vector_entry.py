"""The entry of a vector file."""

from __future__ import annotations

from pathlib import Path

from geoseg.steps.info.entry import Entry, entry
from geoseg.vector.checks import inspect_vector
from geoseg.vector.checks.layer_facts import LayerFacts


def vector_entry(path: Path, *, deep: bool) -> Entry:
    """Describe a vector file.

    Raises:
        VectorError: it is no vector file, or cannot be read.
        UnsafeError: it would make GDAL open or run something else.
    """
    found = inspect_vector(path, deep=deep)
    only = found.layers[0] if len(found.layers) == 1 else None
    return entry(
        path,
        "vector",
        found.problems,
        driver=found.driver,
        crs=None if only is None else only.crs,
        crs_name=None if only is None else only.crs_name,
        layers=[_layer(each) for each in found.layers],
    )


def _layer(facts: LayerFacts) -> Entry:
    return {
        "crs": facts.crs,
        "crs_name": facts.crs_name,
        "name": facts.name,
        "features": facts.features,
        "bounds": facts.bounds,
        "columns": facts.columns,
        "geometry_types": facts.geometry_types,
        "looked_at": facts.looked_at,
    }
