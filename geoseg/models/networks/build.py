"""Segmentation networks by name, of segmentation-models-pytorch and torchgeo."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING, Any

from geoseg.errors import ModelError
from geoseg.models.architectures import Architecture
from geoseg.models.torchgeo_adapter import fully_convolutional

if TYPE_CHECKING:
    from torch import nn

FCN_FILTERS = 64
FCN_RADIUS = 6
"""Receptive radius in pixels of five 3x3 convolutions, and one to spare."""
BACKBONE, VIT = "resnet18", "tu-vit_small_patch16_224"
TORCH_ONLY = ("dpt",)
"""Other engines fix the position codes to the size of one window."""

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
"""Classes of segmentation-models-pytorch, and their arguments."""


def default_backbone(architecture: Architecture) -> str:
    """The encoder of a network for which none is named."""
    if architecture == "fcn":
        return ""
    return VIT if architecture == "dpt" else BACKBONE


def build(architecture: Architecture, backbone: str, bands: int, classes: int) -> nn.Module:
    """Build a network with random weights; works offline.

    Args:
        architecture: a key of `CLASSES`, "fcn" or "linear".
        backbone: any encoder of segmentation-models-pytorch, "tu-" and the name of a timm model,
            or a swin_* of torchvision; "dpt" takes vision transformers of timm only.
        bands: number of input channels.
        classes: number of output channels.

    Raises:
        ModelError: the backbone is unknown, or does not fit the architecture.
    """
    if architecture == "fcn":
        return fully_convolutional(bands, classes, FCN_FILTERS)
    try:
        # timm and smp print and warn about what they are asked to do
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
    """Number of input pixels, along a side, that a pixel of the coarsest feature map covers.

    At least 32 for networks with an encoder, whose deepest features have that stride by default.
    """
    encoder = getattr(network, "encoder", None)
    return max(32, int(getattr(encoder, "output_stride", 32))) if encoder is not None else 1


def halo_of(network: nn.Module) -> int:
    """Pixels of context that a network should see around a core."""
    return 64 if hasattr(network, "encoder") else FCN_RADIUS


def window_of(architecture: Architecture, chip: int) -> int | None:
    """Side in pixels of the best windows, given that of the training chips; None if any will do.

    A vision transformer sees all of a window at once, and its position codes suit one size.
    """
    return max(32, chip // 32 * 32) if architecture == "dpt" else None


def _make(architecture: Architecture, backbone: str, bands: int, classes: int) -> nn.Module:
    import segmentation_models_pytorch as smp

    from geoseg.models.networks import encoders

    encoders.register()
    if architecture == "linear":
        return encoders.LinearProbe(backbone, bands, classes)
    name, settings = CLASSES[architecture]
    if architecture == "dpt" and "patch14" in backbone:
        settings = {**settings, "patch_size": 16}  # windows are multiples of 32, not of 14
    network: nn.Module = getattr(smp, name)(
        encoder_name=backbone, encoder_weights=None, in_channels=bands, classes=classes, **settings
    )
    return network
