"""The file names of chips, models, maps and runs: how each is written, and how it is recognised.

::

    chips/   chips.json  chips.gpkg  images.npy  valid.npy  labels.npy  run.json
    model/   spec.json  model.safetensors  metrics.csv  curves.png  examples.png  run.json
    folds/   folds.json  fold-1/  fold-2/ ...          (a model directory each)
    map/     classes.tif  confidence.tif  probabilities.tif  classes.yaml  run.json
             report.html  map.qgz  map.qlr  item.json  collection.json  model.json ...

While a run is going its parts lie in ``.work-KEY`` inside the output directory, beside the lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from geoseg.grid import Window

# every run directory
RECORD = "run.json"
LOCK = ".lock"
LEDGER = "ledger.jsonl"
FAILED = "failed.json"
CHOICE = "choice.json"
SHARED_CHOICE = ".choice.json"
STEPS_FOLDER = ".steps"
_WORK = ".work-"
_KEY_DIGITS = 16

# chips
CHIP_SPEC = "chips.json"
CHIP_INDEX = "chips.gpkg"
CHIP_IMAGES, CHIP_VALID, CHIP_LABELS = CHIP_ARRAYS = ("images.npy", "valid.npy", "labels.npy")
CHIP_FILES = (*CHIP_ARRAYS, CHIP_INDEX, CHIP_SPEC)

# models
MODEL_SPEC = "spec.json"
WEIGHTS = "model.safetensors"
METRICS = "metrics.csv"
CURVES, EXAMPLES = "curves.png", "examples.png"
FOLDS = "folds.json"
_FOLD = "fold-"

# maps
CLASSES = "classes.tif"
CONFIDENCE = "confidence.tif"
PROBABILITIES = "probabilities.tif"
CLASS_FILE = "classes.yaml"
REPORT_PAGE = "report.html"
TILES = "classes.pmtiles"
PROJECT = "map.qgz"
LAYER_DEFINITION = "map.qlr"
STAC_ITEM = "item.json"
STAC_COLLECTION = "collection.json"
ISO_RECORD = "metadata.xml"
ARRANGED_IMAGERY = "imagery.vrt"

# beside the folders of a pipeline
ACCURACY_REPORT = "report.json"
OVERVIEW = "overview.png"

type Kind = Literal["chips", "model", "folds", "map", "unfinished"]

_MAP_PART = re.compile(r"(\d+)-(\d+)-(\d+)x(\d+)\.tif")


def work_folder(folder: Path, key: str) -> Path:
    """Where the parts of a run with this key lie until it is finished."""
    return folder / f"{_WORK}{key[:_KEY_DIGITS]}"


def work_folders(folder: Path) -> Iterator[Path]:
    """The work folders that unfinished runs have left in an output directory, by name."""
    yield from sorted(folder.glob(f"{_WORK}*"))


def chip_part(scene: int, region: Window) -> str:
    """The file name of the chips cut from one region of a scene.

    >>> chip_part(2, Window(512, 1024, 256, 256))
    '000002-000000512-000001024.npz'
    """
    return f"{scene:06d}-{region.row:09d}-{region.col:09d}.npz"


def map_part(area: Window) -> str:
    """The file name of one area of a map.

    >>> map_part(Window(512, 1024, 256, 300))
    '512-1024-256x300.tif'
    """
    return f"{area.row}-{area.col}-{area.height}x{area.width}.tif"


def map_part_area(name: str) -> Window | None:
    """The area that a part of a map covers, or None where the name is not that of a part.

    >>> map_part_area('512-1024-256x300.tif')
    Window(row=512, col=1024, height=256, width=300)
    """
    found = _MAP_PART.fullmatch(name)
    return Window(*map(int, found.groups())) if found else None


def fold(folder: Path, number: int) -> Path:
    """The model directory of a fold; folds are counted from 1."""
    return folder / f"{_FOLD}{number}"


def folds(folder: Path) -> list[Path]:
    """The model directories of all folds, in the order of their numbers."""
    found = [path for path in folder.glob(f"{_FOLD}*") if path.name[len(_FOLD) :].isdecimal()]
    return sorted(found, key=lambda path: int(path.name[len(_FOLD) :]))


def stac_models(count: int) -> list[str]:
    """The file names of the STAC items of the models behind a map.

    >>> stac_models(1), stac_models(2)
    (['model.json'], ['model-1.json', 'model-2.json'])
    """
    if count == 1:
        return ["model.json"]
    return [f"model-{number}.json" for number in range(1, count + 1)]


def gdal_sidecar(raster: Path) -> Path:
    """The .aux.xml file in which GDAL keeps what the format of a raster cannot hold."""
    return raster.with_name(f"{raster.name}.aux.xml")


def kind_of(folder: Path) -> Kind | None:
    """What a directory of geoseg holds, by the files in it; None for any other directory."""
    if (folder / CHIP_SPEC).is_file():
        return "chips"
    has_map = (folder / CLASSES).is_file()
    # a threshold has no weights, and a spec.json of others may lie beside a map
    if (folder / MODEL_SPEC).is_file() and ((folder / WEIGHTS).is_file() or not has_map):
        return "model"
    if has_map:
        return "map"
    if any((path / MODEL_SPEC).is_file() for path in folds(folder)):
        return "folds"
    return "unfinished" if any(work_folders(folder)) else None
