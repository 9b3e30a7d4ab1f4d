"""What training starts from: a network, the weights it brings, and what of it may change."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, Literal

from geoseg.errors import ConfigError
from geoseg.models.band_names import SENTINEL2
from geoseg.models.networks.build import BACKBONE, build, default_backbone
from geoseg.models.pretrained import weight_files, weights
from geoseg.models.pretrained.transfer import Kernel, put
from geoseg.models.saved.spec import SPEC, WEIGHTS, Architecture, read_spec

if TYPE_CHECKING:
    from torch import nn

type Tuning = Literal["full", "frozen", "probe"]
type Scaling = Literal["weights", "chips"]

logger = logging.getLogger(__name__)
FAR, FLAT = 4.0, 0.01
"""Scaled pixels with such a mean, or so small a spread, are of other units than the weights'."""


@dataclass(frozen=True)
class Inputs:
    """The bands of the training chips.

    Attributes:
        names: in order.
        mean: by band.
        std: by band.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Origin:
    """Where a network's first weights come from, and what may change of them.

    Attributes:
        weights: a name of torchgeo's list, a file of weights, or a model directory; None for
            random ones.
        folder: where files of torchgeo's list lie; torch's cache otherwise.
        scaling: of "weights", or from the statistics of the "chips".
        tuning: "full" changes all, "frozen" all but the encoder, "probe" the last layer alone.
    """

    weights: str | None = None
    folder: Path | None = None
    scaling: Scaling = "weights"
    tuning: Tuning = "full"


@dataclass(frozen=True)
class Start:
    """A network ready to be fitted.

    Attributes:
        network: the network.
        backbone: its encoder.
        mean: by band; the network takes (pixel - mean) / std.
        std: by band.
        origin: what its weights come from.
        licence: of those.
    """

    network: nn.Module
    backbone: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    origin: str = ""
    licence: str = ""


def start(
    architecture: Architecture, backbone: str | None, inputs: Inputs, classes: int, origin: Origin
) -> Start:
    """Build a network and put in the weights it starts from; no connection is opened.

    Args:
        architecture: the network.
        backbone: its encoder; None takes that of the weights, or a small one.
        inputs: the bands of the chips.
        classes: output channels.
        origin: where its weights come from.

    Raises:
        ConfigError: the weights are not on this machine, or do not go with the network.
        ModelError: the backbone is unknown, or the file of weights is damaged.
    """
    given = _given(origin) if origin.weights else None
    backbone = _backbone(architecture, backbone, given)
    network = build(architecture, backbone, len(inputs.names), classes)
    mean, std = inputs.mean, inputs.std
    if given:
        kernel = Kernel(given.bands, inputs.names, given.sensor)
        state = weight_files.read(file_of(str(origin.weights), origin.folder))
        left = put(network, state, kernel)
        _say(given, kernel, left)
        if origin.scaling == "weights" and given.mean:
            mean, std = _scaling(given, kernel, inputs)
    _freeze(network, origin.tuning, architecture)
    found = (given.name, given.licence) if given else ("", "")
    return Start(network, backbone, mean, std, *found)


def file_of(name: str, folder: Path | None) -> Path:
    """The file that holds weights.

    Args:
        name: a name of torchgeo's list, a file of weights, or a model directory.
        folder: where files of torchgeo's list lie; torch's cache otherwise.

    Raises:
        ConfigError: it is not on this machine, or fits none of the networks.
    """
    path = Path(name)
    if (path / SPEC).is_file():
        return path / WEIGHTS
    if path.is_file():
        return path
    if not weights.is_name(name):
        raise ConfigError(
            "is no file, no model directory and no name of weights",
            where="--weights",
            got=name,
            fix="geoseg models list",
        )
    found = weights.named(name)
    if found.use == "none":
        raise ConfigError(
            "fit none of the networks that map pixels here", where=name, fix="geoseg models list"
        )
    return weight_files.find(found, folder)


@dataclass(frozen=True)
class _Given:
    """What is known of weights; a file says nothing of bands and scaling."""

    name: str
    backbone: str = ""
    architectures: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    sensor: str = SENTINEL2
    licence: str = ""


def _given(origin: Origin) -> _Given:
    path = Path(str(origin.weights))
    if (path / SPEC).is_file():
        spec = read_spec(path)
        return _Given(
            spec.origin or str(path), spec.backbone, (spec.architecture,), spec.bands, spec.mean,
            spec.std, licence=spec.licence,
        )  # fmt: skip
    if path.is_file() or not weights.is_name(str(path)):
        return _Given(path.name)
    found = weights.named(str(origin.weights))
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


def _say(given: _Given, kernel: Kernel, left: Sequence[str]) -> None:
    logger.info("starting from %s", given.name)
    if said := kernel.explain():
        logger.info("%s: %s", given.name, said)
    if left and all(name.startswith("segmentation_head") for name in left):
        logger.info("%s: the last layer starts anew", given.name)


def _scaling(
    given: _Given, kernel: Kernel, inputs: Inputs
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The weights' scaling for the bands they know, that of the chips for the others."""
    pairs = []
    for band, source in enumerate(kernel.sources):
        own = inputs.mean[band], inputs.std[band]
        theirs = own if source is None else (given.mean[source], given.std[source])
        shifted, spread = (own[0] - theirs[0]) / theirs[1], own[1] / theirs[1]
        if source is not None and (abs(shifted) > FAR or spread < FLAT):
            logger.warning(
                "%s: band %s has mean %.4g and spread %.3g once it is scaled as the weights were "
                "trained; are its pixels in their units? --scaling chips scales them by their own "
                "statistics", given.name, inputs.names[band], shifted, spread,
            )  # fmt: skip
        pairs.append(theirs)
    return tuple(mean for mean, _ in pairs), tuple(std for _, std in pairs)


def _freeze(network: nn.Module, tuning: Tuning, architecture: Architecture) -> None:
    """Keep parts of a network as they are, batch statistics and dropout included."""
    if tuning == "full":
        return
    if not hasattr(network, "encoder"):
        raise ConfigError("has no encoder to keep", where=architecture, fix="--tuning full")
    kept: list[Any] = [network.encoder]
    if tuning == "probe" and hasattr(network, "decoder"):
        kept.append(network.decoder)
    for part in kept:
        part.requires_grad_(requires_grad=False)
        part.eval()
        part.train = MethodType(_stay, part)


def _stay(part: nn.Module, mode: bool = True) -> nn.Module:  # noqa: ARG001  (in place of nn.Module.train)
    return part
