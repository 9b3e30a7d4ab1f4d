"""Segmentation networks by name, built as torchgeo's SemanticSegmentation task builds them."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING, Any

from geoseg.errors import ModelError
from geoseg.models.saved.spec import Architecture

if TYPE_CHECKING:
    from torch import nn

FCN_FILTERS = 64
FCN_RADIUS = 6
BACKBONE, VIT = "resnet18", "tu-vit_small_patch16_224"
TORCH_ONLY = ("dpt",)
"""Other engines write the position codes of one window's size into the network."""

CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "unet": ("Unet", {}),
    "unet++": ("UnetPlusPlus", {}),
    "unet-scse": ("Unet", {"decoder_attention_type": "scse"}),
    "manet": ("MAnet", {}),
    "fpn": ("FPN", {}),
    "linknet": ("Linknet", {}),
    "pspnet": ("PSPNet", {}),
    "deeplabv3": ("DeepLabV3", {}),
    "deeplabv3+": ("DeepLabV3Plus", {}),
    "upernet": ("UPerNet", {}),
    "segformer": ("Segformer", {}),
    "dpt": ("DPT", {"dynamic_img_size": True}),
}
"""Of segmentation-models-pytorch, and what they are made with."""


def default_backbone(architecture: Architecture) -> str:
    """The encoder of a network when none is named."""
    if architecture == "fcn":
        return ""
    return VIT if architecture == "dpt" else BACKBONE


def build(architecture: Architecture, backbone: str, bands: int, classes: int) -> nn.Module:
    """A network with random weights.

    Args:
        architecture: the name of a network, see `CLASSES`; or "fcn" or "linear".
        backbone: any encoder of segmentation-models-pytorch, "tu-" and a timm model, or a swin_*
            of torchvision; "dpt" takes vision transformers of timm only.
        bands: input channels.
        classes: output channels.

    Raises:
        ModelError: the backbone is unknown, or does not fit the architecture.
    """
    if architecture == "fcn":
        from geoseg.models.fit.torchgeo_task import FCN

        return FCN(in_channels=bands, classes=classes, num_filters=FCN_FILTERS)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return _make(architecture, backbone, bands, classes)
    except (KeyError, ValueError, RuntimeError, AssertionError) as error:
        raise ModelError(
            f"the backbone does not make a {architecture}",
            where=backbone,
            got=(str(error) or type(error).__name__).splitlines()[0][:200],
            fix=f"{VIT} does"
            if architecture == "dpt"
            else "resnet18, resnet50, mobilenet_v2, efficientnet-b0 and tu-<timm name> do",
        ) from error


def stride_of(network: nn.Module) -> int:
    """How many input pixels one pixel of the coarsest feature map stands for."""
    encoder = getattr(network, "encoder", None)
    return max(32, int(getattr(encoder, "output_stride", 32))) if encoder is not None else 1


def halo_of(network: nn.Module) -> int:
    """Pixels around a core that the network should see."""
    return 64 if hasattr(network, "encoder") else FCN_RADIUS


def window_of(architecture: Architecture, chip: int) -> int | None:
    """Side of the windows a network maps best, given the side of its training chips.

    A vision transformer sees all of a window at once, and its position codes are for windows of one
    size; others do not mind.
    """
    return max(32, chip // 32 * 32) if architecture == "dpt" else None


def _make(architecture: Architecture, backbone: str, bands: int, classes: int) -> nn.Module:
    import segmentation_models_pytorch as smp

    from geoseg.models.networks import encoders

    encoders.register()
    if architecture == "linear":
        return encoders.Linear(backbone, bands, classes)
    name, settings = CLASSES[architecture]
    if architecture == "dpt" and "patch14" in backbone:
        settings = {**settings, "patch_size": 16}  # windows are multiples of 32, not of 14
    network: nn.Module = getattr(smp, name)(
        encoder_name=backbone, encoder_weights=None, in_channels=bands, classes=classes, **settings
    )
    return network
