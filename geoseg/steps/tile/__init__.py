"""Cut scenes and their labels into training chips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.steps.tile.options import TileOptions

if TYPE_CHECKING:
    from geoseg.chips.cut import CutTask
    from geoseg.classes import ClassScheme
    from geoseg.job import Inputs, Run
    from geoseg.labels import LabelLayer
    from geoseg.raster import RasterSource, Scene
    from geoseg.vector import Polygons

__all__ = ["TileOptions", "tile"]

REGION_PX = 2048
"""Side of the region that a task reads at once: 34 MB of four bands of 16 bits."""
MODEL_HALO_PX = 64
"""Context that most models see around a window; the model is not known yet."""
SIZES_PX = (256, 128, 64, 32)
MIN_CHIPS = 96
"""Fewer chips give neither a training set nor blocks to hold out."""


def tile(
    scenes: Scene | Sequence[Scene],
    labels: str | Path,
    out: str | Path,
    *,
    classes: str | Path | ClassScheme,
    options: TileOptions | None = None,
) -> Path:
    """Cut scenes and rasterized labels into training chips.

    Args:
        scenes: one scene or several, all with the same bands.
        labels: a polygon layer, a label raster, or a folder or pattern of label rasters.
        out: the chip directory to write.
        classes: the class scheme: a YAML, QML, styled GeoPackage or coloured GeoTIFF.
        options: sizes, split, workers.

    Returns:
        The chip directory.

    Raises:
        InputError: scenes, labels or classes cannot be used; the message names which and why.
        ChipsError: nothing is labelled, or the chips cannot be split without a leak.
        OutputError: the directory holds something else.
        RetryError: some regions failed; the same command goes on with them.

    Example:
        >>> import geoseg
        >>> chips = geoseg.tile("scene.tif", "labels.gpkg", "chips", classes="classes.yaml")
        >>> geoseg.info(chips)[0]["chips"]["train"] > 20
        True
    """
    from geoseg import raster, style
    from geoseg.chips.export import export
    from geoseg.classes import ClassScheme
    from geoseg.job import open_run
    from geoseg.labels import LabelLayer
    from geoseg.layout import CHIP_FILES
    from geoseg.steps.tile.compatible import check_labels_meet, check_same_bands
    from geoseg.steps.tile.given_areas import read_given_areas

    options = options or TileOptions()
    folder = Path(out)
    scheme = classes if isinstance(classes, ClassScheme) else style.load_scheme(Path(classes))
    sources = raster.open_scenes(scenes, options)
    check_same_bands(sources)
    layer = LabelLayer(str(labels), scheme, options.column, options.layer)
    check_labels_meet(sources, layer)
    size = options.size or _default_size(sources)
    areas = read_given_areas(sources, layer, options)
    inputs: Inputs = {
        **{f"scene {number}": source.paths for number, source in enumerate(sources, 1)},
        "labels": layer.inputs(),
        **_area_files(options),
    }
    with open_run(
        "tile",
        folder,
        inputs=inputs,
        options=_key_options(sources, scheme, options),
        outputs=CHIP_FILES,
    ) as run:
        fresh = not run.done
        if fresh:
            tasks = _tasks(sources, layer, size, options, run.work)
            _cut(tasks, run, options)
            _assemble(folder, tasks, sources, scheme, size, options, areas)
            run.finish()
        export(folder, options.export, again=fresh)
    return folder


def _area_files(options: TileOptions) -> dict[str, Iterable[Path]]:
    from geoseg import vector

    given = {"test area": options.test_area, "areas": options.areas}
    return {role: vector.files_of(path) for role, path in given.items() if path}


def _key_options(
    sources: Sequence[RasterSource], scheme: ClassScheme, options: TileOptions
) -> dict[str, Any]:
    """All that the chips depend on besides files; workers and export change nothing in them."""
    from geoseg.job import unrepeatable

    key: dict[str, Any] = {
        "scheme": scheme.model_dump(mode="json"),
        "scenes": [[band.name for band in source.bands] for source in sources],
        **options.model_dump(mode="json", exclude={"workers", "cluster", "export"}),
    }
    if not all(source.paths for source in sources):
        key["array"] = [getattr(each, "token", None) or unrepeatable() for each in sources]
    return key


def _default_size(sources: Sequence[RasterSource]) -> int:
    """The largest of `SIZES_PX` of which the scenes give enough chips to split."""
    pixels = sum(height * width for height, width in (source.geobox.shape for source in sources))
    return next((size for size in SIZES_PX[:-1] if pixels >= MIN_CHIPS * size**2), SIZES_PX[-1])


def _tasks(
    sources: Sequence[RasterSource], layer: LabelLayer, size: int, options: TileOptions, work: Path
) -> list[CutTask]:
    from geoseg import grid
    from geoseg.chips.cut import CutTask

    side = grid.round_up(REGION_PX, size)
    return [
        CutTask(index, source, layer, region, size, options.min_labelled, work)
        for index, source in enumerate(sources)
        for region in grid.split(grid.whole(source.geobox.shape), side)
    ]


def _cut(tasks: Sequence[CutTask], run: Run, options: TileOptions) -> None:
    """Cut the regions that an earlier run has not finished, and count the chips of all."""
    from geoseg.chips.cut import cut
    from geoseg.job import spread

    ledger = run.ledger()
    finished = ledger.parts()
    todo = [task for task in tasks if task.name not in finished]
    for task, (digest, facts) in spread(cut, todo, options, label="cutting chips", total=len(todo)):
        ledger.add(task.name, digest, facts)
        finished[task.name] = facts
    for facts in finished.values():
        run.counts = {name: run.counts.get(name, 0) + count for name, count in facts.items()}


def _assemble(
    folder: Path,
    tasks: Sequence[CutTask],
    sources: Sequence[RasterSource],
    scheme: ClassScheme,
    size: int,
    options: TileOptions,
    areas: Sequence[Polygons | None],
) -> None:
    from geoseg.chips.assemble import SplitRule, assemble

    full = size + MODEL_HALO_PX
    rule = SplitRule(
        block_sides=[options.block] if options.block else [4 * size, 2 * size, size],
        val=options.val,
        test=options.test,
        buffers=[full, MODEL_HALO_PX, 0] if options.buffer is None else [options.buffer],
        seed=options.seed,
        areas=areas,
        folds=options.folds,
        refuse_overlap=options.overlapping == "refuse",
    )
    # Workers finish in any order; sorted by name, chips have the same order in every run.
    parts = [(task.scene, task.folder / task.name) for task in sorted(tasks, key=lambda t: t.name)]
    assemble(folder, parts, sources, scheme, size, rule)
