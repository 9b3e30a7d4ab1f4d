"""Chips for other programs: GeoTIFFs, with label rasters or COCO annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import rasterio

from geoseg import files, grid
from geoseg.chips.chip_set import ChipSet, SplitName, open_chips
from geoseg.chips.coco import annotate
from geoseg.classes import IGNORE
from geoseg.progress import track

type ExportName = Literal["geotiff", "coco"]

KINDS: tuple[ExportName, ...] = ("geotiff", "coco")
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


def export(folder: Path, kind: ExportName | None, *, again: bool) -> None:
    """Write the train, val and test chips of a chip directory into its folder "geotiff" or "coco".

    Images are GeoTIFFs on the grid of the scene, with a validity mask, named by chip number:
    images/SPLIT/000012.tif. "geotiff" adds labels/SPLIT/000012.tif, with a colour table and nodata
    255; "coco" adds SPLIT.json.

    Args:
        folder: chip directory.
        kind: format to write; None writes nothing.
        again: whether the chips are new, so that earlier exports are removed.

    Raises:
        ChipsError: the folder is not a chip directory.
    """
    for other in KINDS if again else ():
        files.remove(folder / other)
    if kind is None or (folder / kind).exists():
        return
    chips = open_chips(folder)
    with files.whole(folder / kind) as target:
        for split in SPLITS:
            numbers = chips.positions(split).tolist()
            for chip in track(numbers, label=f"exporting {split}", total=len(numbers)):
                _write_image(target / "images" / split / f"{chip:06d}.tif", chips, chip)
                if kind == "geotiff":
                    _write_labels(target / "labels" / split / f"{chip:06d}.tif", chips, chip)
            if kind == "coco" and numbers:
                files.write_json(target / f"{split}.json", annotate(chips, split))


def _write_image(path: Path, chips: ChipSet, chip: int) -> None:
    with (
        # GDAL would write the mask into a second file, .msk, otherwise
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        _created(path, chips, chip, len(chips.spec.bands), chips.spec.dtype) as dataset,
    ):
        dataset.descriptions = tuple(band.name for band in chips.spec.bands)
        dataset.write(chips.images[chip])
        dataset.write_mask(chips.valid[chip])


def _write_labels(path: Path, chips: ChipSet, chip: int) -> None:
    with _created(path, chips, chip, 1, "uint8", nodata=IGNORE) as dataset:
        dataset.write_colormap(1, {i: c.rgba for i, c in enumerate(chips.spec.scheme.classes)})
        dataset.write(chips.labels[chip], 1)
        dataset.update_tags(1, **{f"class_{i}": n for i, n in enumerate(chips.spec.scheme.names)})


def _created(
    path: Path, chips: ChipSet, chip: int, count: int, dtype: str, nodata: int | None = None
) -> rasterio.io.DatasetWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    scene, window = chips.place(chip)
    geobox = grid.crop(chips.spec.scenes[scene].geobox, window)
    height, width = geobox.shape
    return rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=dtype,
        crs=str(geobox.crs), transform=geobox.affine, nodata=nodata, compress="deflate",
    )  # fmt: skip
