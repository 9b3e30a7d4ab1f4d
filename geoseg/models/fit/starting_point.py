"""Where training starts: a network, its initial weights, and which of them may change."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from geoseg.errors import ConfigError
from geoseg.layout import MODEL_SPEC, WEIGHTS
from geoseg.models.architectures import Architecture
from geoseg.models.band_names import SENTINEL2
from geoseg.models.fit.training_settings import Scaling, Tuning
from geoseg.models.networks.build import BACKBONE, build, default_backbone
from geoseg.models.pretrained import weight_files, weights
from geoseg.models.pretrained.transfer import Kernel, load_weights
from geoseg.models.saved.spec import read_spec

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)
FAR, FLAT = 4.0, 0.01
"""A band whose scaled pixels have a mean beyond 4, or a standard deviation below 0.01, is most
likely in other units than the weights were trained on: reflectance as 0 to 1 instead of 0 to 10000,
say."""


@dataclass(frozen=True)
class InputBands:
    """The bands of the training chips.

    Attributes:
        names: band names, in order.
        mean: mean of each band over the valid training pixels.
        std: standard deviation of each band.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class InitialWeights:
    """Where the initial weights of a network come from, and which of them may change.

    Attributes:
        weights: a name from torchgeo's list, a file of weights, or a model directory; None for
            random weights.
        folder: folder with files of torchgeo's list; None for torch's cache.
        scaling: scale bands as the "weights" were trained, or by the statistics of the "chips".
        tuning: "full" trains everything, "frozen" all but the encoder, "probe" the last layer only.
    """

    weights: str | None = None
    folder: Path | None = None
    scaling: Scaling = "weights"
    tuning: Tuning = "full"


@dataclass(frozen=True)
class StartingPoint:
    """A network ready to be fitted.

    Attributes:
        network: maps (images, bands, height, width) to logits of the same size.
        backbone: its encoder.
        mean: mean of each band; the network takes (pixel - mean) / std.
        std: standard deviation of each band.
        origin: where its initial weights come from; empty for random ones.
        licence: licence of these weights.
    """

    network: nn.Module
    backbone: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    origin: str = ""
    licence: str = ""


def starting_point(
    architecture: Architecture,
    backbone: str | None,
    inputs: InputBands,
    classes: int,
    initial: InitialWeights,
) -> StartingPoint:
    """Build a network and load its initial weights; works offline.

    Args:
        architecture: name of the network.
        backbone: name of the encoder; None takes that of the weights, or a small one.
        inputs: bands of the chips.
        classes: output channels.
        initial: where the weights come from.

    Raises:
        ConfigError: the weights are not on this machine, or do not fit the network.
        ModelError: the backbone is unknown, or the file of weights is damaged.
    """
    given = _given(initial) if initial.weights else None
    backbone = _backbone(architecture, backbone, given)
    network = build(architecture, backbone, len(inputs.names), classes)
    mean, std = inputs.mean, inputs.std
    if given:
        kernel = Kernel(given.bands, inputs.names, given.sensor)
        state = weight_files.read(file_of(str(initial.weights), initial.folder))
        left = load_weights(network, state, kernel)
        _log(given, kernel, left)
        if initial.scaling == "weights" and given.mean:
            mean, std = _scaling(given, kernel, inputs)
    _freeze(network, initial.tuning, architecture)
    found = (given.name, given.licence) if given else ("", "")
    return StartingPoint(network, backbone, mean, std, *found)


def file_of(name: str, folder: Path | None) -> Path:
    """Find the file that holds weights.

    Args:
        name: a name from torchgeo's list, a file of weights, or a model directory.
        folder: folder with files of torchgeo's list; None for torch's cache.

    Raises:
        ConfigError: the file is not on this machine, or fits none of the networks.
        ModelError: the file is damaged.
    """
    path = Path(name)
    if (path / MODEL_SPEC).is_file():
        return path / WEIGHTS
    if path.is_file():
        return path
    if not weights.is_name(name):
        raise ConfigError(
            "is not a file, a model directory or a name of weights",
            where="--weights",
            got=name,
            fix="geoseg models list",
        )
    found = weights.named(name)
    if found.use == "none":
        raise ConfigError(
            "fit none of the segmentation networks", where=name, fix="geoseg models list"
        )
    return weight_files.find(found, folder)


@dataclass(frozen=True)
class _Given:
    """What is known of weights; a bare file records neither bands nor scaling."""

    name: str
    backbone: str = ""
    architectures: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    sensor: str = SENTINEL2
    licence: str = ""


def _given(initial: InitialWeights) -> _Given:
    path = Path(str(initial.weights))
    if (path / MODEL_SPEC).is_file():
        spec = read_spec(path)
        return _Given(
            spec.origin or str(path), spec.backbone, (spec.architecture,), spec.bands, spec.mean,
            spec.std, licence=spec.licence,
        )  # fmt: skip
    if path.is_file() or not weights.is_name(str(path)):
        return _Given(path.name)
    found = weights.named(str(initial.weights))
    return _Given(
        found.name, found.backbone, found.architectures, found.bands, found.mean,
        found.std, found.sensor, found.licence,
    )  # fmt: skip


def _backbone(architecture: Architecture, backbone: str | None, given: _Given | None) -> str:
    wanted = given.backbone if given else ""
    if given and given.architectures and architecture not in given.architectures:
        raise ConfigError(
            "the weights belong to another network",
            where=given.name,
            got=f"--architecture {architecture}",
            wanted=" or ".join(given.architectures),
        )
    if given and wanted and backbone not in (None, wanted):
        raise ConfigError(
            "the weights belong to another backbone",
            where=given.name,
            got=f"--backbone {backbone}",
            wanted=wanted,
            fix="leave out --backbone",
        )
    return backbone or wanted or default_backbone(architecture) or BACKBONE


def _log(given: _Given, kernel: Kernel, left: Sequence[str]) -> None:
    logger.info("starting from %s", given.name)
    if changes := kernel.explain():
        logger.info("%s: %s", given.name, changes)
    if left and all(name.startswith("segmentation_head") for name in left):
        logger.info("%s: the last layer starts from random weights", given.name)


def _scaling(
    given: _Given, kernel: Kernel, inputs: InputBands
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Take the scaling of the weights for the bands they know, that of the chips for others."""
    pairs = []
    for band, source in enumerate(kernel.sources):
        own = inputs.mean[band], inputs.std[band]
        theirs = own if source is None else (given.mean[source], given.std[source])
        shifted, spread = (own[0] - theirs[0]) / theirs[1], own[1] / theirs[1]
        if source is not None and (abs(shifted) > FAR or spread < FLAT):
            logger.warning(
                "%s: scaled as the weights were trained, band %s has a mean of %.4g and a standard "
                "deviation of %.3g; are its pixels in the same units? --scaling chips uses the "
                "chips' own statistics", given.name, inputs.names[band], shifted, spread,
            )  # fmt: skip
        pairs.append(theirs)
    return tuple(mean for mean, _ in pairs), tuple(std for _, std in pairs)


def _freeze(network: nn.Module, tuning: Tuning, architecture: Architecture) -> None:
    """Freeze parts of a network, batch statistics and dropout included."""
    if tuning == "full":
        return
    if not hasattr(network, "encoder"):
        raise ConfigError("has no encoder to freeze", where=architecture, fix="--tuning full")
    kept: list[Any] = [network.encoder]
    if tuning == "probe" and hasattr(network, "decoder"):
        kept.append(network.decoder)
    for part in kept:
        part.requires_grad_(requires_grad=False)
        part.eval()
        # Lightning calls train() before every epoch, which would switch batch norm back on
        part.train = MethodType(_stay, part)


def _stay(part: nn.Module, mode: bool = True) -> nn.Module:  # noqa: ARG001  (in place of nn.Module.train)
    return part
