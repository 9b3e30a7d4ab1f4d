"""Download pretrained weights, before a run needs them offline."""

from __future__ import annotations

import shutil
from pathlib import Path

from geoseg import files, remote
from geoseg.classes import ClassScheme
from geoseg.errors import ConfigError, ModelError
from geoseg.job.record import versions
from geoseg.models.networks.build import build, halo_of, stride_of
from geoseg.models.pretrained import weight_files
from geoseg.models.pretrained.transfer import Kernel, load_weights
from geoseg.models.pretrained.weights import Weights
from geoseg.models.saved.model_files import save_model
from geoseg.models.saved.spec import ModelSpec

# the classes of torchgeo's whole models, which state no colours
COLOURS = {
    "background": "#00000000",
    "field": "#e6c35c",
    "boundary": "#7a5c1e",
    "road": "#6b6b6b",
    "tree-canopy": "#2e7d32",
}


def fetch(weights: Weights, folder: Path) -> Path:
    """Download weights into a folder, unless they are there already or in torch's cache.

    Args:
        weights: entry of torchgeo's list.
        folder: folder for the file.

    Returns:
        The file; for a whole model, the model directory made from it, which `predict` takes.

    Raises:
        ConfigError: the server has no such file, or sent another one.
        ModelError: a file on this machine does not match the hash in its name, or lacks weights.
        RetryError: the connection failed.
    """
    file = folder / weights.file
    if not file.is_file():
        _download(weights, file)
    weight_files.check(file)
    return _model(weights, file, folder / weights.name) if weights.use == "model" else file


def _download(weights: Weights, file: Path) -> None:
    kept = weight_files.cache() / weights.file
    with files.whole(file) as temporary:
        if kept.is_file():
            shutil.copyfile(kept, temporary)
        else:
            remote.download(weights.url, temporary)
        try:
            weight_files.check(temporary, weights.file)
        except ModelError as error:
            raise ConfigError(
                "the server sent another file", where=weights.url, got=error.got,
                wanted=error.wanted, fix="a newer torchgeo may list another one",
            ) from error  # fmt: skip


def _model(weights: Weights, file: Path, folder: Path) -> Path:
    # torchgeo's whole models are U-Nets of segmentation-models-pytorch
    network = build("unet", weights.backbone, len(weights.bands), len(weights.classes))
    left = load_weights(network, weight_files.read(file), Kernel(weights.bands, weights.bands))
    if left:
        raise ModelError("lacks weights of the model", where=file, got=left[0])
    save_model(
        folder,
        network,
        ModelSpec(
            architecture="unet",
            backbone=weights.backbone,
            bands=weights.bands,
            dtype="uint16" if weights.sensor == "Sentinel-2" else "uint8",
            mean=weights.mean,
            std=weights.std,
            gsd_m=weights.gsd_m or 1.0,
            scheme=scheme_of(weights),
            stride=stride_of(network),
            halo=halo_of(network),
            origin=weights.name,
            licence=weights.licence,
            versions=versions(),
        ),
    )
    return folder


def scheme_of(weights: Weights) -> ClassScheme:
    """Make the class scheme of a whole model."""
    return ClassScheme.model_validate(
        {"classes": [{"name": name, "color": COLOURS[name]} for name in weights.classes]}
    )
