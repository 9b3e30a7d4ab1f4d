"""Two pictures of a training: its curves, and what the network makes of chips it did not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geoseg import files
from geoseg.classes import IGNORE
from geoseg.models.fit.history import Rows
from geoseg.models.saved.spec import ModelSpec
from geoseg.render import EMPTY, painted, photo, true_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import nn

    from geoseg.chips.chip_arrays import Samples
    from geoseg.models.fit.training_settings import Recipe

EXAMPLES = 8
PER_ROW = 2
TRAIN, VAL, INK = "#8d99a6", "#c2410c", "#1f2933"


def draw_pictures(
    network: nn.Module, val: Samples, recipe: Recipe, rows: Rows, spec: ModelSpec, folder: Path
) -> None:
    """Draw curves.png and examples.png.

    Args:
        network: the network, fitted.
        val: chips it has not learned from.
        recipe: how it was fitted.
        rows: the epochs.
        spec: names of the bands, and the classes.
        folder: where the pictures go.
    """
    from geoseg.models.fit.fitting import best_of

    draw_curves(rows, int(best_of(rows)["best_epoch"]), folder / "curves.png")
    chips = examples(network, val, recipe)
    draw_examples(chips, spec, folder / "examples.png")


def draw_curves(rows: Rows, best_epoch: int, out: Path) -> None:
    """Draw loss, mean IoU and learning rate by epoch.

    Args:
        rows: the epochs.
        best_epoch: the one whose weights the model has.
        out: the PNG to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    loss, miou, rate = figure.subplots(1, 3)
    _curve(loss, rows, "train_loss", "training", TRAIN)
    _curve(loss, rows, "val_loss", "validation", VAL)
    _curve(miou, rows, "train_miou", "training", TRAIN)
    _curve(miou, rows, "val_miou", "validation", VAL)
    _curve(rate, rows, "lr", "", INK)
    miou.set_ylim(0, 1)
    best = next(row["val_miou"] for row in rows if row["epoch"] == best_epoch)
    scored = f"Mean IoU: {best:.3f} in epoch {best_epoch}"
    for axes, title in ((loss, "Loss"), (miou, scored), (rate, "Learning rate")):
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.set_xlabel("epoch")
        axes.axvline(best_epoch, color=INK, lw=0.8, ls=":", zorder=0)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    loss.legend(frameon=False, fontsize=9)
    _save(figure, out)


def _curve(axes: Axes, rows: Rows, name: str, label: str, color: str) -> None:
    points = [(row["epoch"], row[name]) for row in rows if name in row]
    marker = "o" if len(points) < 3 else None
    axes.plot(*zip(*points, strict=True), color=color, label=label, lw=1.6, marker=marker, ms=4)


@dataclass(frozen=True, eq=False)
class Example:
    """A chip with what is known of it and what the network says.

    Attributes:
        pixels: (bands, size, size).
        valid: (size, size).
        labels: (size, size), 255 where unlabelled.
        mapped: (size, size).
    """

    pixels: NDArray[np.generic]
    valid: NDArray[np.bool_]
    labels: NDArray[np.uint8]
    mapped: NDArray[np.uint8]


def examples(network: nn.Module, val: Samples, recipe: Recipe) -> list[Example]:
    """The validation chips that show the most classes, mapped; in the order of the store."""
    from geoseg.chips.chip_arrays import Samples
    from geoseg.models.fit.calibration import predictions

    counts = [len(np.unique(ids[ids != IGNORE])) for ids in (val.labels[i] for i in val.positions)]
    chosen = np.sort(np.argsort(counts, kind="stable")[::-1][:EXAMPLES])
    few = Samples(val.images, val.valid, val.labels, val.positions[chosen])
    found = []
    for at, logits in predictions(network, few, recipe):
        for index, ids in zip(at, logits.argmax(dim=1).byte().cpu().numpy(), strict=True):
            mapped = np.where(val.valid[index], ids, IGNORE).astype(np.uint8)
            found.append(Example(val.images[index], val.valid[index], val.labels[index], mapped))
    return found


def draw_examples(chips: Sequence[Example], spec: ModelSpec, out: Path) -> None:
    """Draw chips: image, label and prediction side by side, in the colours of the classes.

    Args:
        chips: what to draw.
        spec: names of the bands, and the classes.
        out: the PNG to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows = list(batched(chips, PER_ROW))
    figure = Figure(figsize=(6.6 * PER_ROW, 2.35 * len(rows) + 0.7), layout="constrained")
    grid = figure.subplots(len(rows), 3 * PER_ROW, squeeze=False)
    chosen = list(true_colour(spec.bands))
    for axes in grid.ravel():
        axes.axis("off")
    for row, line in zip(grid, rows, strict=True):
        for each, three in zip(line, batched(row, 3), strict=False):
            panels = {
                "image": photo(each.pixels[chosen], each.valid),
                "label": painted(each.labels, spec.scheme),
                "prediction": painted(each.mapped, spec.scheme),
            }
            for axes, (name, shown) in zip(three, panels.items(), strict=True):
                axes.imshow(shown, interpolation="nearest")
                axes.set_title(name, loc="left", fontsize=9)
    keys = [Patch(fc=each.color[:7], ec="#7b8794", label=each.name) for each in spec.scheme.classes]
    keys.append(Patch(fc=EMPTY, ec="#7b8794", label="unlabelled, or no data"))
    figure.legend(handles=keys, loc="outside lower center", ncols=8, frameon=False, fontsize=9)
    _save(figure, out)


def _save(figure: Figure, out: Path) -> None:
    with files.whole(out) as temporary:
        figure.savefig(temporary, dpi=110, facecolor="white", metadata={"Software": None})
