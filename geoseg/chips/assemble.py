"""Parts of a run to a chip directory: split, statistics, arrays, index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray

from geoseg import files, grid
from geoseg.chips.cut import Part, load_part
from geoseg.chips.split import TRAIN, Placed, Split, choose_split, overlap_px
from geoseg.chips.store import INDEX, SPEC, BandStatistics, ChipSpec, SceneGrid
from geoseg.classes import ClassScheme
from geoseg.errors import ChipsError
from geoseg.raster import RasterSource
from geoseg.vector import Polygons, rasterize

type Moments = NDArray[np.float64]


@dataclass(frozen=True)
class SplitRule:
    """How chips are divided.

    Attributes:
        block_sides: sides of a block in pixels, the most wanted first.
        val: wanted share of validation.
        test: wanted share of test.
        buffers: pixels between training and held-out chips, the most wanted first.
        seed: of the assignment.
        test_areas: polygons by scene whose chips are test, or None.
    """

    block_sides: Sequence[int]
    val: float
    test: float
    buffers: Sequence[int]
    seed: int
    test_areas: Sequence[Polygons | None]


def assemble(
    folder: Path,
    parts: Sequence[tuple[int, Path]],
    sources: Sequence[RasterSource],
    scheme: ClassScheme,
    size: int,
    rule: SplitRule,
) -> ChipSpec:
    """Write the chip directory from the parts of all scenes.

    Args:
        folder: where the directory's files go.
        parts: (scene index, part), in the order the chips shall have.
        sources: the scenes.
        scheme: the classes.
        size: side of a chip in pixels.
        rule: how to divide the chips.

    Raises:
        ChipsError: no chip was kept, or the split cannot be made or would leak.
    """
    loaded = ((scene, load_part(path)) for scene, path in parts)
    survey = [_survey(scene, part, len(scheme.classes)) for scene, part in loaded if part]
    if not survey:
        raise ChipsError(
            "no chip holds a labelled pixel", where=folder, fix="check that labels and scenes meet"
        )
    placed = Placed(
        scene=np.concatenate([each.scene for each in survey]),
        corners=np.concatenate([each.corners for each in survey]),
        size=size,
        pixels=np.concatenate([each.pixels for each in survey]),
    )
    held = _held(placed, sources, rule)
    split = choose_split(
        placed,
        block_sides=rule.block_sides,
        buffers=rule.buffers,
        shares=(rule.val, 0.0 if held is not None else rule.test),
        seed=rule.seed,
        held=held,
    )
    names = split.names
    shared = overlap_px(placed, names)
    if shared:
        raise ChipsError("training and held-out chips overlap", where=folder, got=f"{shared} px")
    moments = np.concatenate([each.moments for each in survey])[names == TRAIN]
    spec = ChipSpec(
        size=size,
        dtype=str(sources[0].dtype),
        gsd_m=round(float(np.mean([grid.gsd_m(source.geobox) for source in sources])), 4),
        scheme=scheme,
        bands=_statistics([band.name for band in sources[0].bands], moments),
        scenes=tuple(_scene_grid(source) for source in sources),
        pixels={
            name: tuple(placed.pixels[names == name].sum(axis=0).tolist())
            for name in sorted(set(names))
        },
        block=split.block,
        buffer=split.buffer,
        overlap_m2=0.0,
    )
    _write_arrays(folder, [path for _, path in parts], len(names))
    _write_index(folder / INDEX, placed, split, sources)
    files.write_bytes(folder / SPEC, spec.model_dump_json(indent=2).encode())
    return spec


@dataclass(frozen=True, eq=False)
class _Survey:
    scene: NDArray[np.int64]
    corners: NDArray[np.int64]
    pixels: NDArray[np.int64]
    moments: Moments


def _survey(scene: int, part: Part, classes: int) -> _Survey:
    """What the split and the statistics need to know of a part."""
    counts = [np.bincount(chip.ravel(), minlength=256)[:classes] for chip in part.labels]
    return _Survey(
        scene=np.full(len(part.corners), scene, dtype=np.int64),
        corners=part.corners,
        pixels=np.array(counts, dtype=np.int64),
        moments=np.stack([_moments(i, v) for i, v in zip(part.images, part.valid, strict=True)]),
    )


def _moments(image: NDArray[np.generic], valid: NDArray[np.bool_]) -> Moments:
    """Count, mean, sum of squared deviations, minimum and maximum by band, (5, bands)."""
    values = image[:, valid].astype(np.float64)
    mean = values.mean(axis=1)
    squares = ((values - mean[:, None]) ** 2).sum(axis=1)
    count = np.full(len(values), values.shape[1], dtype=float)
    return np.stack([count, mean, squares, values.min(axis=1), values.max(axis=1)])


def _statistics(names: list[str], moments: Moments) -> tuple[BandStatistics, ...]:
    """Pool moments of chips, (chips, 5, bands), as Chan, Golub and LeVeque (1983) do."""
    count, mean, squares = moments[:, 0], moments[:, 1], moments[:, 2]
    total = count.sum(axis=0)
    pooled = (count * mean).sum(axis=0) / total
    spread = (squares + count * (mean - pooled) ** 2).sum(axis=0)
    std = np.sqrt(spread / total)
    low, high = moments[:, 3].min(axis=0), moments[:, 4].max(axis=0)
    return tuple(
        BandStatistics(name=name, mean=m, std=s, min=lo, max=hi)
        for name, m, s, lo, hi in zip(names, pooled, std, low, high, strict=True)
    )


def _held(
    placed: Placed, sources: Sequence[RasterSource], rule: SplitRule
) -> NDArray[np.bool_] | None:
    """Chips that touch the area the user holds out, or None where there is no such area."""
    if all(area is None for area in rule.test_areas):
        return None
    held = np.zeros(len(placed.scene), dtype=bool)
    for chip, (scene, (row, col)) in enumerate(zip(placed.scene, placed.corners, strict=True)):
        area = rule.test_areas[scene]
        if area is not None:
            window = grid.Window(int(row), int(col), placed.size, placed.size)
            held[chip] = (rasterize(area, grid.crop(sources[scene].geobox, window)) == 0).any()
    return held


def _write_arrays(folder: Path, parts: list[Path], count: int) -> None:
    first = next(part for part in map(load_part, parts) if part is not None)
    for field in ("images", "valid", "labels"):
        example = getattr(first, field)
        with files.whole(folder / f"{field}.npy") as temporary:
            array = np.lib.format.open_memmap(
                temporary, mode="w+", dtype=example.dtype, shape=(count, *example.shape[1:])
            )
            _fill(array, parts, field)
            array.flush()
            del array


def _fill(array: NDArray[np.generic], parts: list[Path], field: str) -> None:
    at = 0
    for path in parts:
        part: Part | None = load_part(path)
        if part is not None:
            chips = getattr(part, field)
            array[at : at + len(chips)] = chips
            at += len(chips)


def _write_index(
    path: Path,
    placed: Placed,
    split: Split,
    sources: Sequence[RasterSource],
) -> None:
    table = pd.DataFrame(
        {
            "scene": placed.scene,
            "row": placed.corners[:, 0],
            "col": placed.corners[:, 1],
            "block": split.blocks,
            "split": split.names.astype(object),
        }
    )
    for index in range(placed.pixels.shape[1]):
        table[f"pixels_{index}"] = placed.pixels[:, index]
    footprints = np.empty(len(table), dtype=object)
    for scene, source in enumerate(sources):
        here = placed.scene == scene
        footprints[here] = _footprints(placed.corners[here], placed.size, source)
    frame = gpd.GeoDataFrame(table, geometry=footprints, crs=4326)
    with files.whole(path) as temporary:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "1970-01-01T00:00:00Z"})
        pyogrio.write_dataframe(frame, temporary, layer="chips", driver="GPKG")


def _footprints(corners: NDArray[np.int64], size: int, source: RasterSource) -> NDArray[np.object_]:
    from pyproj import Transformer

    square = np.array([(0, 0), (0, size), (size, size), (size, 0), (0, 0)])
    points = (corners[:, None, ::-1] + square).reshape(-1, 2).astype(float)
    xs, ys = source.geobox.affine @ (points[:, 0], points[:, 1])
    to_lonlat = Transformer.from_crs(grid.crs_of(source.geobox).proj, 4326, always_xy=True)
    lonlat = np.column_stack(to_lonlat.transform(xs, ys)).reshape(-1, 5, 2)
    polygons: NDArray[np.object_] = shapely.polygons(lonlat)
    return polygons


def _scene_grid(source: RasterSource) -> SceneGrid:
    affine = source.geobox.affine
    return SceneGrid(
        name=source.name,
        crs=grid.crs_of(source.geobox).to_wkt(),
        transform=(affine.a, affine.b, affine.c, affine.d, affine.e, affine.f),
        shape=tuple(source.geobox.shape),
    )
