"""Segmentation networks by name, built as torchgeo's SemanticSegmentation task builds them."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING

from geoseg.errors import ModelError
from geoseg.models.spec import Architecture

if TYPE_CHECKING:
    from torch import nn

FCN_FILTERS = 64
FCN_RADIUS = 6


def build(architecture: Architecture, backbone: str, bands: int, classes: int) -> nn.Module:
    """A network with random weights.

    Args:
        architecture: "unet", "deeplabv3+", "fcn", "upernet" or "segformer".
        backbone: any encoder of segmentation-models-pytorch, or "tu-" and a timm model.
        bands: input channels.
        classes: output channels.

    Raises:
        ModelError: the backbone is unknown, or does not fit the architecture.
    """
    import segmentation_models_pytorch as smp

    if architecture == "fcn":
        from geoseg.models.adapter import FCN

        return FCN(in_channels=bands, classes=classes, num_filters=FCN_FILTERS)
    kinds = {
        "unet": smp.Unet,
        "deeplabv3+": smp.DeepLabV3Plus,
        "upernet": smp.UPerNet,
        "segformer": smp.Segformer,
    }
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            network: nn.Module = kinds[architecture](
                encoder_name=backbone, encoder_weights=None, in_channels=bands, classes=classes
            )
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the backbone does not make a {architecture}",
            where=backbone,
            got=str(error).splitlines()[0][:200],
            fix="resnet18, resnet50, mobilenet_v2, efficientnet-b0 and tu-<timm name> do",
        ) from error
    return network


def stride_of(network: nn.Module) -> int:
    """How many input pixels one pixel of the coarsest feature map stands for."""
    encoder = getattr(network, "encoder", None)
    return max(32, int(getattr(encoder, "output_stride", 32))) if encoder is not None else 1


def halo_of(network: nn.Module) -> int:
    """Pixels around a core that the network should see."""
    return 64 if hasattr(network, "encoder") else FCN_RADIUS
