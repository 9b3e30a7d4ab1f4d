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
    """The content of a COCO file: images, annotations, categories.

    Image and category ids are the chip's number and the class's id. Regions are 4-connected. One
    without a hole is a polygon along its pixels' edges, one with a hole a compressed run-length
    encoding, as COCO's polygons have none. Unlabelled pixels are in no region.

    Args:
        chips: the chip set.
        split: whose chips.
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
    filled = rasterio.features.rasterize([shape], size, dtype="uint8")
    encoded = masks.encode(np.asfortranarray(filled))
    return {"size": list(size), "counts": encoded["counts"].decode("ascii")}
