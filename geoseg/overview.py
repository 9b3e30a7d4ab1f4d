"""One picture of a pipeline run: scene, truth, map, polygons, legend and scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pyogrio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import files, grid, ground
from geoseg.chips import ChipSet
from geoseg.classes import IGNORE, ClassScheme
from geoseg.labels import LabelLayer, open_labels
from geoseg.raster import FileSource, RasterSource, WarpSource
from geoseg.render import EMPTY, painted, photo, true_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONG_SIDE_PX = 1400
PAPER, INK = "#ffffff", "#1f2933"
HELD_OUT = "#111111"


@dataclass(frozen=True)
class Subject:
    """The subject of an overview.

    Attributes:
        title: heading of the picture.
        source: the scene.
        labels: the truth.
        classes: path of the class raster.
        polygons: path of the map's polygons.
        chips: the chips, whose held-out blocks are hatched.
        report: the accuracy report of `geoseg.evaluate`.
    """

    title: str
    source: RasterSource
    labels: LabelLayer
    classes: Path
    polygons: Path
    chips: ChipSet
    report: Mapping[str, Any]


def write_overview(subject: Subject, out: Path) -> None:
    """Draw an overview and save it as PNG.

    Args:
        subject: the scene, map and scores to show.
        out: the PNG to write.
    """
    import matplotlib

    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK}):
        figure = _draw(subject)
        with files.whole(out) as temporary:
            figure.savefig(temporary, dpi=110, facecolor=PAPER, metadata={"Software": None})


def _draw(subject: Subject) -> Figure:
    from matplotlib.figure import Figure

    small = _shrink(subject.source.geobox)
    scheme = subject.labels.scheme
    panels = {
        "Scene": _picture(subject.source, small),
        "Truth": painted(_truth(subject, small), scheme),
        "Map": painted(_classes(subject.classes, small), scheme),
    }
    height, width = small.shape
    panel = 6.2
    rows = panel * min(1.3, height / width)
    figure = Figure(figsize=(2 * panel + 3.4, 2 * rows + 1.2), layout="constrained")
    layout = figure.add_gridspec(2, 3, width_ratios=(panel, panel, 3.2))
    figure.suptitle(subject.title, fontsize=15, fontweight="bold", x=0.012, ha="left")
    for place, (name, picture) in enumerate(panels.items()):
        axes = figure.add_subplot(layout[place // 2, place % 2])
        axes.imshow(picture, interpolation="nearest")
        _frame(axes, name)
        if name == "Truth":
            _outline_held_out(axes, subject, small)
    axes = figure.add_subplot(layout[1, 1])
    axes.imshow(_picture(subject.source, small), interpolation="nearest", alpha=0.45)
    _polygons(axes, subject.polygons, scheme, small)
    _frame(axes, "Polygons")
    _figures(figure.add_subplot(layout[:, 2]), subject)
    return figure


def _shrink(geobox: GeoBox) -> GeoBox:
    """The scene's grid with its long side at most LONG_SIDE_PX."""
    return geobox.zoom_out(max(1.0, max(geobox.shape) / LONG_SIDE_PX))


def _picture(source: RasterSource, small: GeoBox) -> NDArray[np.uint8]:
    """Red, green and blue, stretched between the 2nd and 98th percentile; grey for fewer bands."""
    picked = true_colour([band.name for band in source.bands])
    block = WarpSource(source.take(picked), small, "average").read(grid.whole(small.shape))
    return photo(block.pixels, block.valid)


def _truth(subject: Subject, small: GeoBox) -> NDArray[np.uint8]:
    ids = open_labels(subject.labels, small).read(grid.whole(small.shape))
    valid = WarpSource(subject.source.take((0,)), small, "nearest")
    ids[~valid.read(grid.whole(small.shape)).valid] = IGNORE
    return ids


def _classes(path: Path, small: GeoBox) -> NDArray[np.uint8]:
    block = WarpSource(FileSource(path), small, "mode").read(grid.whole(small.shape))
    ids: NDArray[np.uint8] = np.where(block.valid, block.pixels[0], IGNORE).astype(np.uint8)
    return ids


def _frame(axes: Axes, name: str) -> None:
    axes.set_title(name, loc="left", fontsize=11, fontweight="bold")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color("#9aa5b1")


def _outline_held_out(axes: Axes, subject: Subject, small: GeoBox) -> None:
    """Hatch the test chips, which no model was trained on."""
    from matplotlib.patches import Rectangle

    scale = small.shape[1] / subject.source.geobox.shape[1]
    for index, scene in enumerate(subject.chips.spec.scenes):
        if grid.misfit(scene.geobox, subject.source.geobox) is None:
            for window in subject.chips.windows(index, "test"):
                axes.add_patch(
                    Rectangle(
                        (window.col * scale, window.row * scale), window.width * scale,
                        window.height * scale, fill=False, hatch="..", lw=0, ec=HELD_OUT, alpha=0.5,
                    )
                )  # fmt: skip


def _polygons(axes: Axes, path: Path, scheme: ClassScheme, small: GeoBox) -> None:
    layers = [name for name, kind in pyogrio.list_layers(path) if kind]
    frame = gpd.read_file(path, layer=layers[0]).to_crs(grid.crs_of(small).to_wkt())
    inverse = ~small.affine
    matrix = [inverse.a, inverse.b, inverse.d, inverse.e, inverse.c, inverse.f]
    frame = frame.set_geometry(frame.geometry.affine_transform(matrix))
    colours = {index: each.color[:7] for index, each in enumerate(scheme.classes)}
    visible = frame[frame["class_id"].map(lambda i: scheme.classes[i].rgba[3] > 0)]
    if len(visible):
        paint = visible["class_id"].map(colours)
        visible.plot(ax=axes, color=paint, alpha=0.6, edgecolor="none", aspect="equal")
        visible.boundary.plot(ax=axes, color=paint, lw=0.35, aspect="equal")
    height, width = small.shape
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal", xlabel="", ylabel="")


def _figures(axes: Axes, subject: Subject) -> None:
    """Legend, scores by class, size and CRS of the scene, in one column of text."""
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    report = subject.report
    y = 0.985
    axes.text(0.0, y, "Held-out accuracy", fontsize=11, fontweight="bold", va="top")
    rows = [
        ("mean IoU", _percent(report["miou"])),
        ("overall accuracy", _percent(report["overall_accuracy"])),
        (f"always {report['majority']['name']}: mIoU", _percent(report["majority"]["miou"])),
        ("pixels compared", f"{report['n_pixels']:,}"),
    ]
    for name, value in rows:
        y -= 0.034
        axes.text(0.0, y, name, va="top")
        axes.text(1.0, y, value, va="top", ha="right")
    y -= 0.075
    axes.text(0.0, y, "Class", fontsize=11, fontweight="bold", va="top")
    axes.text(1.0, y, "IoU", fontsize=11, fontweight="bold", va="top", ha="right")
    for each, land_class in zip(report["classes"], subject.labels.scheme.classes, strict=True):
        y -= 0.042
        _swatch(axes, y, land_class.color)
        axes.text(0.13, y, each["name"], va="center")
        axes.text(1.0, y, _percent(each["iou"]), va="center", ha="right")
    for colour, name, hatch in ((EMPTY, "no data, or unlabelled", ""), (PAPER, "held out", "...")):
        y -= 0.042
        _swatch(axes, y, colour, hatch)
        axes.text(0.13, y, name, va="center", color="#52606d")
    height, width = subject.source.geobox.shape
    gsd = ground.gsd_m(subject.source.geobox)
    facts = f"{width} x {height} px of {gsd:.3g} m\n{_crs_name(subject.source.geobox)}"
    axes.text(0.0, y - 0.05, facts, va="top", color="#52606d", fontsize=8, linespacing=1.5)


def _swatch(axes: Axes, y: float, colour: str, hatch: str = "") -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle((0.0, y - 0.012), 0.09, 0.024, fc=colour, ec="#7b8794", lw=0.6, hatch=hatch)
    )


def _crs_name(geobox: GeoBox) -> str:
    epsg = grid.crs_of(geobox).epsg
    return f"EPSG:{epsg}" if epsg else str(grid.crs_of(geobox).proj.name)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
