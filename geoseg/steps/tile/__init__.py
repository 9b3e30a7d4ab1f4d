"""Cut scenes and their labels into training chips."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from geoseg.errors import ApartError, ChipsError
from geoseg.job.pool import WorkerOptions
from geoseg.options import ReadOptions

if TYPE_CHECKING:
    from geoseg.chips import LabelLayer
    from geoseg.chips.cut import CutTask
    from geoseg.classes import ClassScheme
    from geoseg.raster import RasterSource, Scene
    from geoseg.vector import Polygons

logger = logging.getLogger(__name__)
REGION_PX = 2048
MODEL_HALO_PX = 64
SIZES_PX = (256, 128, 64, 32)
CHIPS = 96


class TileOptions(ReadOptions, WorkerOptions):
    """Options of `tile`.

    Example:
        >>> import geoseg
        >>> options = geoseg.TileOptions(size=64, bands="green,nir")
        >>> options.bands
        ('green', 'nir')
        >>> geoseg.tile(
        ...     "scene.tif", "labels.gpkg", "two", classes="classes.yaml", options=options
        ... ).name
        'two'
    """

    size: int | None = Field(None, ge=32, le=4096, multiple_of=32)
    """Side of a chip in pixels; by default 256, or less where scenes give fewer than 96 of them."""

    min_labelled: float = Field(0.0, ge=0, lt=1)
    """Chips of which a smaller share is labelled are left out."""

    block: int | None = Field(None, ge=1)
    """Side in pixels of the blocks that are held out whole; by default four chips, or two or one
    where too few chips would be left to train on."""

    val: float = Field(0.15, gt=0, lt=1)
    """Share of blocks that decide when training stops."""

    test: float = Field(0.15, ge=0, lt=1)
    """Share of blocks that only evaluation sees."""

    buffer: int | None = Field(None, ge=0)
    """Pixels between training chips and held-out ones; by default a chip and the model's halo, or
    the halo, or none, where too few chips would be left to train on."""

    folds: Annotated[int, Field(ge=2)] | Literal["scenes"] | None = None
    """Divide the blocks into so many folds, each of which validates once; scenes leaves out one
    scene at a time. `geoseg train --fold` chooses one. --val does not count then."""

    overlapping: Literal["refuse", "buffer"] = "refuse"
    """Scenes that share ground: refuse them, or leave out the training chips that lie nearer than
    the buffer to held-out ground of any scene."""

    test_area: Path | None = None
    """Polygons whose chips are the test split, instead of a share of the blocks."""

    areas: Path | None = None
    """Polygons that say which ground is train, val and test. Chips on two of them are left out, and
    so are those on none, where some ground is train; where val or test is not named, blocks are
    drawn for it."""

    split_column: str | None = None
    """Attribute with train, val or test, of the areas ("split" by default) or, without areas, of
    the label polygons."""

    column: str | None = None
    """Attribute with the label code; the class file's by default."""

    layer: str | None = None
    """Layer of the label file, where it has several."""

    seed: int = 0
    """Seed of the split."""

    export: Literal["geotiff", "coco"] | None = None
    """Write the chips for other programs too, into a folder of that name in the chip directory."""


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
        InputError: scenes, labels or classes cannot be used; says which and why.
        ChipsError: nothing is labelled, or the chips cannot be split without a leak.

    Example:
        >>> import geoseg
        >>> chips = geoseg.tile("scene.tif", "labels.gpkg", "chips", classes="classes.yaml")
        >>> geoseg.info(chips)[0]["chips"]["train"] > 20
        True
    """
    from geoseg import raster, style
    from geoseg.chips.chip_set import FILES
    from geoseg.chips.export import export
    from geoseg.classes import ClassScheme
    from geoseg.job import open_run, spread, unrepeatable
    from geoseg.labels.layers import LabelLayer
    from geoseg.steps.tile.ground import read_all

    options = options or TileOptions()
    folder = Path(out)
    scheme = classes if isinstance(classes, ClassScheme) else style.load_scheme(Path(classes))
    sources = raster.open_scenes(scenes, options)
    _check_same_bands(sources)
    layer = LabelLayer(str(labels), scheme, options.column, options.layer)
    _check_some_labels(sources, layer)
    size = options.size or _size(sources)
    areas = read_all(sources, layer, options)
    scene_paths = [path for source in sources for path in source.paths]
    given = [path for path in (options.test_area, options.areas) if path]
    inputs = [*scene_paths, *layer.inputs(), *given]
    resolved = {
        "scheme": scheme.model_dump(mode="json"),
        **options.model_dump(mode="json", exclude={"workers", "cluster", "export"}),
    }
    if not all(source.paths for source in sources):
        resolved["array"] = [getattr(each, "token", None) or unrepeatable() for each in sources]
    with open_run("tile", folder, inputs=inputs, options=resolved, outputs=FILES) as run:
        if run.done:
            export(folder, options.export, again=False)
            return folder
        ledger = run.ledger()
        tasks = _tasks(sources, layer, size, options, run.work)
        finished = ledger.parts()
        todo = [task for task in tasks if task.name not in finished]
        from geoseg.chips.cut import cut

        for task, (digest, facts) in spread(
            cut, todo, options, label="cutting chips", total=len(todo)
        ):
            ledger.add(task.name, digest, facts)
            finished[task.name] = facts
        for facts in finished.values():
            run.counts = {name: run.counts.get(name, 0) + count for name, count in facts.items()}
        _assemble(folder, tasks, sources, scheme, size, options, areas)
        run.finish()
        export(folder, options.export, again=True)
    return folder


def _size(sources: Sequence[RasterSource]) -> int:
    """The largest of the usual chips of which the scenes give enough to split."""
    pixels = sum(height * width for height, width in (source.geobox.shape for source in sources))
    return next((size for size in SIZES_PX[:-1] if pixels >= CHIPS * size**2), SIZES_PX[-1])


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
    parts = [(task.scene, task.folder / task.name) for task in sorted(tasks, key=lambda t: t.name)]
    assemble(folder, parts, sources, scheme, size, rule)


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


def _check_some_labels(sources: Sequence[RasterSource], layer: LabelLayer) -> None:
    """Refuse labels that meet no scene at all; scenes without any are only left out."""
    from geoseg.chips import open_labels

    apart: list[ApartError] = []
    for source in sources:
        try:
            open_labels(layer, source.geobox)
        except ApartError as error:
            apart.append(error)
    if len(apart) == len(sources):
        raise apart[0]
    if apart:
        logger.info("%d of %d scenes have no labels", len(apart), len(sources))


def _check_same_bands(sources: Sequence[RasterSource]) -> None:
    from geoseg import ground
    from geoseg.models.saved.spec import GSD_TOLERANCE

    wanted = [band.name for band in sources[0].bands]
    for source in sources[1:]:
        sizes = ground.gsd_m(source.geobox), ground.gsd_m(sources[0].geobox)
        if max(sizes) / min(sizes) > 1 + GSD_TOLERANCE:
            raise ChipsError(
                f"has pixels of another size than {sources[0].name}",
                where=source.name,
                got=f"{sizes[0]:.3g} m",
                wanted=f"{sizes[1]:.3g} m",
                fix="bring the scenes to one pixel size, or train a model for each",
            )
        got = [band.name for band in source.bands]
        if got != wanted or source.dtype != sources[0].dtype:
            raise ChipsError(
                f"differs from {sources[0].name}",
                where=source.name,
                got=f"{', '.join(got)} ({source.dtype})",
                wanted=f"{', '.join(wanted)} ({sources[0].dtype})",
                fix="choose the common bands with --bands",
            )
