"""Networks and forests on real imagery, cross-validated in space.

Networks with class edges or unlabelled scenes are compared with plain ones.

Each fold's ground is mapped by models fitted to the other folds (validation blocks are drawn from
those too), and counted once. Intervals come from a bootstrap over blocks. ECE is measured on the
same ground, with and without the temperature fitted to the validation blocks.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
from shapely import box

import geoseg

PAIRS = Path(__file__).parents[2] / "shared" / "data" / "pairs"
CONFIGS = Path(__file__).parents[1] / "tests" / "configs"
EDGES = {"edges": 0.5}
GHANA = "Ghana_83483_S1Hand.tif"
"""A flood without labels."""


CHIAPAS = geoseg.ClassScheme.model_validate(
    {
        "column": "id",
        "classes": [
            {"name": "forest", "color": "#2e6b3f", "values": [1]},
            {"name": "water", "color": "#2b83ba", "values": [2]},
            {"name": "herbaceous", "color": "#c6d86b", "values": [3]},
            {"name": "barren", "color": "#c8ad7f", "values": [4]},
            {"name": "urban", "color": "#d7191c", "values": [5]},
        ],
    }
)


@dataclass(frozen=True)
class Pair:
    """Scenes with labels.

    Attributes:
        scenes: rasters, or a folder of bands.
        labels: polygons, or a folder of label rasters.
        classes: class file, or the scheme.
        folds: function from this pair to the test areas, a frame of polygons per fold.
        network: training options of the network.
        also: variants by name, as further training options.
        tile: options of the tile step.
        block: side in pixels of the bootstrap blocks.
    """

    scenes: tuple[Path, ...]
    labels: Path
    classes: Path | geoseg.ClassScheme
    folds: Callable[["Pair"], list[gpd.GeoDataFrame]]
    network: dict[str, Any]
    also: dict[str, dict[str, Any]] = field(default_factory=dict)
    tile: dict[str, Any] = field(default_factory=dict)
    block: int = 64


def run(folder: Path) -> Iterator[str]:
    """Scores with intervals, per fold and class, and of a map of the commonest class."""
    if not PAIRS.is_dir():
        yield "the real pairs are not on this machine"
        return
    for name, pair in pairs().items():
        yield from measured(name, pair, folder / name)


def pairs() -> dict[str, Pair]:
    """The pairs with enough labels."""
    kampala, floods = PAIRS / "kampala_buildings", PAIRS / "sen1floods11"
    wetlands, chiapas = PAIRS / "rcr_sentinel2", PAIRS / "landsat7_chiapas"
    names = "India_900498", "USA_905409", "Somalia_699062"
    landsat = chiapas / "LE70220491999322EDC01_stack.gtif"
    few = {"size": 32, "block": 32, "buffer": 8, "val": 0.2}
    return {
        "buildings, drone, 15 cm": Pair(
            (kampala / "kampala_A_z20.tif",), kampala / "labels.geojson",
            CONFIGS / "kampala_classes.yaml", strips(4), {"epochs": 30},
            {"edges": EDGES},
            {"size": 128, "block": 128, "buffer": 0, "alpha": 4}, 128,
        ),
        "floods, Sentinel-1": Pair(
            tuple(floods / "S1" / f"{each}_S1Hand.tif" for each in names), floods / "Labels",
            CONFIGS / "sen1floods11_classes.yaml", scenes, {"epochs": 20},
            {"edges": EDGES, "unlabelled": {"unlabelled": [str(floods / "S1" / GHANA)]}},
            {"size": 128, "block": 128, "buffer": 0},
        ),
        "wetlands, Sentinel-2": Pair(
            (wetlands,), wetlands / "rcr_landcover.shp", CONFIGS / "rcr_classes.yaml",
            polygons(3, "Classvalue"), {"architecture": "fcn", "epochs": 30},
            {"unlabelled": {"unlabelled": [str(wetlands)]}},
            {**few, "nodata": 255}, 32,
        ),
        "land cover, Landsat 7": Pair(
            (landsat,), chiapas / "training_data.shp",
            CHIAPAS, polygons(3, "id"), {"architecture": "fcn", "epochs": 30},
            {"unlabelled": {"unlabelled": [str(landsat)]}},
            {**few, "bands": (1, 2, 3, 4, 5, 6)}, 32,
        ),
    }  # fmt: skip


def strips(count: int) -> Callable[[Pair], list[gpd.GeoDataFrame]]:
    """Folds as strips from west to east."""

    def _strips(pair: Pair) -> list[gpd.GeoDataFrame]:
        with rasterio.open(pair.scenes[0]) as scene:
            bounds, crs = scene.bounds, scene.crs
        edges = np.linspace(bounds.left, bounds.right, count + 1)
        areas = [box(edges[n], bounds.bottom, edges[n + 1], bounds.top) for n in range(count)]
        return [gpd.GeoDataFrame(geometry=[each], crs=crs) for each in areas]

    return _strips


def scenes(pair: Pair) -> list[gpd.GeoDataFrame]:
    """One fold per scene."""
    folds = []
    for path in pair.scenes:
        with rasterio.open(path) as scene:
            folds.append(gpd.GeoDataFrame(geometry=[box(*scene.bounds)], crs=scene.crs))
    return folds


def polygons(count: int, column: str) -> Callable[[Pair], list[gpd.GeoDataFrame]]:
    """Folds of whole label polygons, dealt out in turn within each class."""

    def _polygons(pair: Pair) -> list[gpd.GeoDataFrame]:
        frame = gpd.read_file(pair.labels).sort_values(column, kind="stable")
        turn = frame.groupby(column).cumcount().to_numpy()
        start = np.unique(frame[column], return_inverse=True)[1]
        return [frame[(turn + start) % count == n] for n in range(count)]

    return _polygons


def measured(name: str, pair: Pair, folder: Path) -> Iterator[str]:
    """Cross-validate a pair; yield a line per model."""
    areas = []
    for number, frame in enumerate(pair.folds(pair)):
        areas.append(folder / f"area-{number}.gpkg")
        areas[-1].parent.mkdir(parents=True, exist_ok=True)
        frame[["geometry"]].to_file(areas[-1])
    chips = [cut(pair, area, folder / f"chips-{n}") for n, area in enumerate(areas)]
    models = {"network": pair.network, "forest": {"architecture": "forest"}} | {
        each: pair.network | options for each, options in pair.also.items()
    }
    for model, options in models.items():
        maps, plain = [], []
        for number, (area, cut_) in enumerate(zip(areas, chips, strict=True)):
            place = folder / f"{model}-{number}"
            fitted = geoseg.train(cut_, place / "model", options=geoseg.TrainOptions(**options))
            maps += mapped(pair, fitted, area, place / "map")
            if model == "network":
                plain += mapped(pair, without_temperature(fitted), area, place / "plain")
        yield from lines(f"{name}: {model}", pair, maps, plain)


def cut(pair: Pair, area: Path, out: Path) -> Path:
    """Cut chips with an area as the test split."""
    options = geoseg.TileOptions(test=0, test_area=area, **pair.tile)
    inputs = [str(each) for each in pair.scenes]
    return geoseg.tile(inputs, str(pair.labels), out, classes=pair.classes, options=options)


def mapped(pair: Pair, model: Path, area: Path, out: Path) -> list[Path]:
    """Map an area with a model."""
    reading = {k: v for k, v in pair.tile.items() if k in ("alpha", "nodata", "bands")}
    options = geoseg.PredictOptions(aoi=area, **reading)
    return geoseg.predict([str(each) for each in pair.scenes], model, out, options=options)


def without_temperature(model: Path) -> Path:
    """A copy of a model without its temperature."""
    copy = model.with_name("plain-model")
    shutil.copytree(model, copy)
    spec = json.loads((copy / "spec.json").read_text(encoding="utf-8"))
    text = json.dumps(spec | {"temperature": 1.0})
    (copy / "spec.json").write_text(text, encoding="utf-8")
    return copy


def lines(name: str, pair: Pair, maps: list[Path], plain: list[Path]) -> Iterator[str]:
    """Scores of the maps of all folds, together and one by one."""
    options = geoseg.EvaluateOptions(block=pair.block)
    report = geoseg.evaluate(maps, str(pair.labels), options=options)
    low, high = report["intervals"]["miou"]
    folds = [geoseg.evaluate(each, str(pair.labels))["miou"] for each in maps]
    yield (
        f"{name:36} mIoU {report['miou']:.3f} [{low:.3f}, {high:.3f}]   folds "
        f"{' '.join(f'{each:.3f}' for each in folds)}   commonest {report['majority']['miou']:.3f}"
    )
    yield "  " + ", ".join(f"{each['name']} {_share(each['iou'])}" for each in report["classes"])
    if plain:
        before = geoseg.evaluate(plain, str(pair.labels), options=options)["calibration"]["ece"]
        yield f"  ECE {before:.4f} without temperature, {report['calibration']['ece']:.4f} with it"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
