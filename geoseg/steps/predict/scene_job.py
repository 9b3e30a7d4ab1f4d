"""A scene on its way to a map."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from geoseg.job import Inputs, Run, open_run, unrepeatable
from geoseg.layout import CLASS_FILE
from geoseg.maps.map_files import PAM
from geoseg.maps.map_job import CONTENTS
from geoseg.raster import XarraySource
from geoseg.steps.predict.plan import PlannedScene
from geoseg.steps.predict.previous_map import PreviousMap, find_previous_map
from geoseg.vector import files_of


@dataclass(frozen=True)
class SceneJob:
    """A scene on its way to a map: what is mapped, and the run that maps it.

    Attributes:
        scene: pixels, area of interest, map directory and method.
        run: the run that holds the map directory.
        previous: the map that an earlier run made of the scene; regions that did not change are
            taken from it.
    """

    scene: PlannedScene
    run: Run
    previous: PreviousMap | None


@contextmanager
def open_scene(scene: PlannedScene) -> Iterator[SceneJob]:
    """Hold the map directory of a scene while it is mapped.

    Raises:
        OutputError: the directory cannot be written, or another run holds it.
        RetryError: the directory was removed meanwhile.
    """
    source, method = scene.source, scene.method
    settings = {**method.settings, "scene": [band.name for band in source.bands]}
    if not source.paths:
        # An array has no file to hash: its token stands in, where Dask can name its content.
        token = source.token if isinstance(source, XarraySource) else None
        settings["array"] = token or unrepeatable()
    inputs: Inputs = {
        "scene": source.paths, "weights": method.weight_files,
        "area": files_of(method.options.aoi) if method.options.aoi else (),
    }  # fmt: skip
    with open_run(
        "predict", scene.folder, inputs=inputs,
        options=settings, outputs=(*method.rasters, PAM, CLASS_FILE, CONTENTS),
        overwrite=method.options.overwrite,
    ) as run:  # fmt: skip
        yield SceneJob(scene, run, None if run.done else find_previous_map(run, method))
