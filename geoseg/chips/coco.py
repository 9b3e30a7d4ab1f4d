"""Chips as COCO instance annotations: each connected region of a class is an object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from pycocotools import mask as masks

from geoseg.chips.chip_set import ChipSet, SplitName
from geoseg.classes import IGNORE


def annotate(chips: ChipSet, split: SplitName) -> dict[str, Any]:
    """Make the content of a COCO file: images, annotations, categories.

    Image ids are chip numbers, category ids are class ids. Regions are 4-connected. Those without
    holes become polygons along pixel edges, those with holes compressed run-length encodings, as
    COCO's polygons cannot have holes. Unlabelled pixels belong to no region.

    Args:
        chips: chip set.
        split: split to annotate.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for chip in chips.positions(split).tolist():
        scene, window = chips.place(chip)
        images.append(
            {
                "id": chip,
                "file_name": f"images/{split}/{chip:06d}.tif",
                "height": chips.spec.size,
                "width": chips.spec.size,
                "scene": chips.spec.scenes[scene].name,
                "row": window.row,
                "col": window.col,
            }
        )
        for region in _regions(chips.labels[chip]):
            annotations.append({"id": len(annotations) + 1, "image_id": chip, **region})
    categories = [{"id": i, "name": name} for i, name in enumerate(chips.spec.scheme.names)]
    return {
        "info": {"description": "made by geoseg tile --export coco"},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def _regions(labels: NDArray[np.uint8]) -> Iterator[dict[str, Any]]:
    labelled = labels != IGNORE
    for geometry, value in rasterio.features.shapes(labels, mask=labelled, connectivity=4):
        shape = shapely.geometry.shape(geometry)
        west, north, east, south = shape.bounds
        yield {
            "category_id": int(value),
            "segmentation": _outline(shape, labels.shape),
            "area": int(shape.area),
            "bbox": [west, north, east - west, south - north],
            "iscrowd": 0,
        }


def _outline(shape: shapely.Polygon, size: tuple[int, ...]) -> Any:
    if not shape.interiors:
        return [np.array(shape.exterior.coords)[:-1].ravel().tolist()]
    # burned by pixel centres, which gives back exactly the pixels the outline was traced from
    filled = rasterio.features.rasterize([shape], size, dtype="uint8")
    encoded = masks.encode(np.asfortranarray(filled))
    return {"size": list(size), "counts": encoded["counts"].decode("ascii")}
