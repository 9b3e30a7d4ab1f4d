"""Draw the pictures of the documentation from a demo directory (`make docs`).

python scripts/pictures.py demo .site/pictures
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image

import geoseg
from geoseg.classes import load_yaml
from geoseg.files import whole
from geoseg.grid import Window
from geoseg.render import painted, photo, true_colour

SYSTEM_PYTHON = Path("/usr/bin/python3")
LOOK = Path(__file__).parents[1] / "tests" / "qgis" / "look.py"
DETAIL = np.s_[130:490, 290:770]
"""Rows and columns of the demo scene that contain all classes."""
WIDTH = 1000
SCENE_SHARE = 2
"""Step in pixels at which the whole scene is drawn."""

type Picture = NDArray[np.uint8] | Image.Image | Figure


def main(demo: Path, out: Path) -> None:
    """Draw every picture and save it as NAME.webp."""
    for name, draw in pictures(demo).items():
        path = out / f"{name}.webp"
        with whole(path) as temporary:
            _as_image(draw()).save(temporary, format="webp", quality=82, method=6)
        sys.stdout.write(f"{path}\n")


def pictures(demo: Path) -> dict[str, Callable[[], Picture]]:
    """Functions that draw the pictures of a demo directory, by name."""
    return {
        "scene": lambda: _scene(demo)[::SCENE_SHARE, ::SCENE_SHARE],
        "labels": partial(_over_scene, demo, "labels.gpkg", "landcover"),
        "chips": partial(_chips, demo),
        "curves": lambda: Image.open(demo / "model" / "curves.png").convert("RGB"),
        "examples": lambda: Image.open(demo / "model" / "examples.png").convert("RGB"),
        "map": partial(_map, demo),
        "confidence": partial(_confidence, demo),
        "polygons": partial(_over_scene, demo, "landcover.gpkg", "class_name"),
        "layout": partial(_layout, demo),
    }


def _as_image(picture: Picture) -> Image.Image:
    if isinstance(picture, Figure):
        canvas = FigureCanvasAgg(picture)
        canvas.draw()
        picture = np.asarray(canvas.buffer_rgba())[..., :3]
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.LANCZOS)
    return image


def _scene(demo: Path) -> NDArray[np.uint8]:
    source = geoseg.open_scene(demo / "scene.tif")
    colours = source.take(true_colour([band.name for band in source.bands]))
    block = colours.read(Window(0, 0, *source.geobox.shape))
    return photo(block.pixels, block.valid)


def _over_scene(demo: Path, name: str, column: str) -> Figure:
    """Polygons over part of the scene, in class colours."""
    land_map = geoseg.open_map(demo / "map").isel(y=DETAIL[0], x=DETAIL[1])
    figure, axes = _frame(land_map)
    axes.imshow(_scene(demo)[DETAIL], extent=_extent(land_map))
    frame = gpd.read_file(demo / name, layer="landcover").to_crs(land_map.odc.crs)
    shown = frame.clip(land_map.odc.geobox.extent.geom)
    paint = list(shown[column].map(_colours(demo)))
    shown.plot(ax=axes, color=paint, alpha=0.5)
    shown.boundary.plot(ax=axes, color=paint, linewidth=1.6)
    left, right, bottom, top = _extent(land_map)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    return figure


def _colours(demo: Path) -> dict[str, str]:
    """Class colours by class name and label code."""
    classes = load_yaml(demo / "classes.yaml").classes
    return {str(code): each.color for each in classes for code in (each.name, *each.values)}


def _chips(demo: Path) -> Figure:
    """Chip footprints, coloured by split."""
    land_map = geoseg.open_map(demo / "map")
    figure, axes = _frame(land_map)
    axes.imshow(_scene(demo), extent=_extent(land_map))
    chips = gpd.read_file(demo / "chips" / "chips.gpkg").to_crs(land_map.odc.crs)
    colours = {"train": "#2b83ba", "val": "#fdae61", "test": "#d7191c", "buffer": "#ffffff"}
    for split, colour in colours.items():
        of_split = chips[chips["split"] == split]
        of_split.plot(ax=axes, color=colour, alpha=0.45, edgecolor=colour, linewidth=1)
    handles = [Patch(color=colour, label=split) for split, colour in colours.items()]
    axes.legend(handles=handles, loc="lower left", facecolor="#d9dee3")
    left, right, bottom, top = _extent(land_map)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    return figure


def _map(demo: Path) -> Figure:
    """The class map with a legend."""
    land_map = geoseg.open_map(demo / "map")
    figure, axes = _frame(land_map)
    scheme = load_yaml(demo / "classes.yaml")
    axes.imshow(painted(land_map.classes.values, scheme), interpolation="nearest")
    handles = [Patch(color=each.color, label=each.name) for each in scheme.classes]
    axes.legend(handles=handles, loc="lower left", ncols=2)
    return figure


def _confidence(demo: Path) -> Figure:
    """The confidence, dark where it is low."""
    confidence = geoseg.open_map(demo / "map").confidence
    figure, axes = _frame(confidence)
    shown = np.ma.masked_equal(confidence.values, 255)
    drawn = axes.imshow(shown, cmap="magma", vmin=30, vmax=100, interpolation="nearest")
    figure.colorbar(drawn, ax=axes, label="percent", shrink=0.8)
    return figure


def _layout(demo: Path) -> Picture:
    """The print layout drawn by QGIS, or the map with its legend if there is no QGIS."""
    with tempfile.TemporaryDirectory() as folder:
        env = {"PATH": os.environ["PATH"], "HOME": folder, "QT_QPA_PLATFORM": "offscreen"}
        project = (demo / "map" / "map.qgz").absolute()
        command = [SYSTEM_PYTHON, LOOK, "project", project, folder]
        if SYSTEM_PYTHON.is_file():
            subprocess.run(command, env=env, cwd=folder, capture_output=True, check=False)  # noqa: S603
        page = Path(folder) / "layout.png"
        if page.is_file():
            return Image.open(page).convert("RGB")
    sys.stdout.write("PyQGIS not found: the picture of the print layout shows the map alone\n")
    return _map(demo)


def _frame(land_map: xr.Dataset | xr.DataArray) -> tuple[Figure, Axes]:
    """Axes that fill a figure with the map's aspect ratio."""
    height, width = land_map.odc.geobox.shape
    figure = Figure(figsize=(10, 10 * height / width), dpi=WIDTH / 10, layout="constrained")
    figure.get_layout_engine().set(w_pad=0, h_pad=0)
    axes = figure.add_subplot()
    axes.set_axis_off()
    return figure, axes


def _extent(land_map: xr.Dataset) -> tuple[float, float, float, float]:
    box = land_map.odc.geobox.extent.boundingbox
    return box.left, box.right, box.bottom, box.top


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
