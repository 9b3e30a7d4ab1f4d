"""Two pictures of a training run: its curves, and predictions on validation chips."""

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
from geoseg.layout import CURVES, EXAMPLES
from geoseg.models.fit.chip_logits import chip_logits
from geoseg.models.fit.history import Epochs, best_of
from geoseg.models.saved.spec import ModelSpec
from geoseg.render import EMPTY, painted, photo, true_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import nn

    from geoseg.chips.chip_arrays import ChipArrays
    from geoseg.models.fit.training_settings import TrainingSettings

EXAMPLE_COUNT = 8
PER_ROW = 2
TRAIN, VAL, INK = "#8d99a6", "#c2410c", "#1f2933"


def draw_pictures(
    network: nn.Module,
    val: ChipArrays,
    settings: TrainingSettings,
    epochs: Epochs,
    spec: ModelSpec,
    folder: Path,
) -> None:
    """Draw curves.png and examples.png.

    Args:
        network: the fitted network.
        val: validation chips.
        settings: how the network was fitted.
        epochs: scores of each epoch.
        spec: band names and classes.
        folder: folder of the pictures.
    """
    draw_curves(epochs, int(best_of(epochs)["best_epoch"]), folder / CURVES)
    chips = examples(network, val, settings)
    draw_examples(chips, spec, folder / EXAMPLES)


def draw_curves(epochs: Epochs, best_epoch: int, out: Path) -> None:
    """Draw loss, mean IoU and learning rate by epoch.

    Args:
        epochs: scores of each epoch.
        best_epoch: the epoch whose weights were kept.
        out: PNG to write.
    """
    # Figure instead of pyplot: no window system is looked for, and nothing is kept globally
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    loss, miou, rate = figure.subplots(1, 3)
    _curve(loss, epochs, "train_loss", "training", TRAIN)
    _curve(loss, epochs, "val_loss", "validation", VAL)
    _curve(miou, epochs, "train_miou", "training", TRAIN)
    _curve(miou, epochs, "val_miou", "validation", VAL)
    _curve(rate, epochs, "lr", "", INK)
    miou.set_ylim(0, 1)
    best = next(each["val_miou"] for each in epochs if each["epoch"] == best_epoch)
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


def _curve(axes: Axes, epochs: Epochs, name: str, label: str, color: str) -> None:
    points = [(each["epoch"], each[name]) for each in epochs if name in each]
    marker = "o" if len(points) < 3 else None  # a line of one point is invisible
    axes.plot(*zip(*points, strict=True), color=color, label=label, lw=1.6, marker=marker, ms=4)


@dataclass(frozen=True, eq=False)
class Example:
    """A chip, its labels and its prediction.

    Attributes:
        pixels: (bands, size, size), as stored.
        valid: (size, size).
        labels: (size, size) class ids, 255 where unlabelled.
        predicted: (size, size) class ids, 255 where not valid.
    """

    pixels: NDArray[np.generic]
    valid: NDArray[np.bool_]
    labels: NDArray[np.uint8]
    predicted: NDArray[np.uint8]


def examples(network: nn.Module, val: ChipArrays, settings: TrainingSettings) -> list[Example]:
    """Predict the validation chips with the most classes, in the order of the chip set."""
    counts = [len(np.unique(ids[ids != IGNORE])) for ids in (val.labels[i] for i in val.positions)]
    chosen = np.sort(np.argsort(counts, kind="stable")[::-1][:EXAMPLE_COUNT])
    found = []
    for at, logits in chip_logits(network, val.take(chosen), settings):
        for index, ids in zip(at, logits.argmax(dim=1).byte().cpu().numpy(), strict=True):
            valid = val.valid[index]
            predicted = np.where(valid, ids, IGNORE).astype(np.uint8)
            found.append(Example(val.images[index], valid, val.labels[index], predicted))
    return found


def draw_examples(chips: Sequence[Example], spec: ModelSpec, out: Path) -> None:
    """Draw image, label and prediction of chips side by side, in the colours of the classes.

    Args:
        chips: at most eight fill the picture well.
        spec: band names and classes.
        out: PNG to write.
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
                "prediction": painted(each.predicted, spec.scheme),
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
        # without matplotlib's version the same chips give the same bytes
        figure.savefig(temporary, dpi=110, facecolor="white", metadata={"Software": None})
