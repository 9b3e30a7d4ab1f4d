"""Files of pretrained weights, loaded into networks by name."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torchgeo.models
from pretrained_weights import KINDS, MOCO, S2, fake, listing
from safetensors.torch import save_file
from torch import nn

from geoseg.errors import ConfigError, ModelError
from geoseg.models.band_names import common_name
from geoseg.models.fit.starting_point import InitialWeights, InputBands, starting_point
from geoseg.models.networks.build import build
from geoseg.models.pretrained import weight_files
from geoseg.models.pretrained.weights import Weights, named
from geoseg.models.saved.model_files import load_network


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Weights], None]]:
    yield from listing(monkeypatch, tmp_path / "torch")


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_each_kind_goes_into_a_network(
    name: str, tmp_path: Path, listed: Callable[[Weights], None]
) -> None:
    listed(fake(tmp_path, name))
    architecture = KINDS[name][1]
    first = starting_point(architecture, None, S2, 3, InitialWeights(name, tmp_path))  # type: ignore[arg-type]
    assert first.origin == name
    assert first.std == tuple(named(name).std[named(name).bands.index(b)] for b in used(name))
    side = first.network.eval()(torch.zeros(1, 4, 64, 96))
    assert side.shape == (1, 3, 64, 96)


def used(name: str) -> list[str]:
    """The weights' names of blue, green, red and near infrared."""
    known = {common_name(band, named(name).sensor): band for band in named(name).bands}
    return [known[band] for band in ("blue", "green", "red", "nir")]


def test_a_backbone_gives_the_features_that_torchgeos_gives(
    tmp_path: Path, listed: Callable[[Weights], None]
) -> None:
    found = fake(tmp_path, MOCO)
    listed(found)
    inputs = InputBands(named(MOCO).bands, (0.0,) * 13, (1.0,) * 13)
    first = starting_point("unet", None, inputs, 3, InitialWeights(MOCO, tmp_path))
    theirs = torchgeo.models.resnet18(in_chans=13)
    theirs.load_state_dict(torch.load(tmp_path / found.file, weights_only=True))
    image = torch.randn(1, 13, 64, 96)
    ours = first.network.eval().encoder(image)[-1]  # type: ignore[operator]
    assert torch.allclose(ours, theirs.eval().forward_features(image), atol=1e-5)  # type: ignore[operator]
    assert first.mean == (0.0,) * 13
    assert first.std == (10_000.0,) * 13


def test_a_damaged_file_is_refused(tmp_path: Path, listed: Callable[[Weights], None]) -> None:
    found = fake(tmp_path, MOCO)
    listed(found)
    data = bytearray((tmp_path / found.file).read_bytes())
    data[5000] ^= 1
    (tmp_path / found.file).write_bytes(data)
    with pytest.raises(ModelError, match="does not match the hash in its name"):
        starting_point("unet", None, S2, 3, InitialWeights(MOCO, tmp_path))


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("code ran",))


def test_a_checkpoint_with_code_in_it_is_not_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"state_dict": Evil()}))
    torch.save({"weight": Evil()}, tmp_path / "evil2.pth")
    for name in ("evil.pth", "evil2.pth"):
        with pytest.raises(ModelError, match="more than weights"):
            weight_files.read(tmp_path / name)
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize("prefix", ["", "model.encoder.", "model.backbone.model.", "module."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_the_users_own_goes_in_whatever_its_trainer_called_it(
    prefix: str, suffix: str, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    source = torchgeo.models.resnet18(in_chans=4).state_dict()
    state = {f"{prefix}{name}": value.clone() for name, value in source.items()}
    path = tmp_path / f"own{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    first = starting_point("unet", "resnet18", S2, 3, InitialWeights(str(path)))
    assert torch.equal(first.network.encoder.conv1.weight, source["conv1.weight"])  # type: ignore[union-attr]
    assert (first.mean, first.std) == (S2.mean, S2.std)


def test_weights_of_another_network_are_refused(
    tmp_path: Path, listed: Callable[[Weights], None]
) -> None:
    listed(fake(tmp_path, MOCO))
    with pytest.raises(ConfigError, match=r"--backbone resnet50.*wanted resnet18"):
        starting_point("unet", "resnet50", S2, 3, InitialWeights(MOCO, tmp_path))
    with pytest.raises(ConfigError, match=r"--architecture unet.*wanted dpt"):
        starting_point(
            "unet", None, S2, 3, InitialWeights("ViTSmall16_Weights.SENTINEL2_ALL_DINO", tmp_path)
        )
    with pytest.raises(ConfigError, match="fit none of the segmentation networks"):
        starting_point("unet", None, S2, 3, InitialWeights("Presto_Weights.PRESTO"))
    with pytest.raises(ConfigError, match="not a file, a model directory or a name"):
        starting_point("unet", None, S2, 3, InitialWeights("somewhere.pth"))
    torch.save(torchgeo.models.resnet50(in_chans=4).state_dict(), tmp_path / "r50.pth")
    with pytest.raises(ModelError, match="belong to another network"):
        starting_point("unet", "resnet18", S2, 3, InitialWeights(str(tmp_path / "r50.pth")))


def test_pixels_in_other_units_than_the_weights_are_said_and_may_keep_their_own_scaling(
    tmp_path: Path, listed: Callable[[Weights], None], caplog: pytest.LogCaptureFixture
) -> None:
    listed(fake(tmp_path, MOCO))
    bytes_ = InputBands(("red", "green", "blue"), (100.0,) * 3, (40.0,) * 3)
    with caplog.at_level(logging.INFO, "geoseg"):
        starting_point("unet", None, bytes_, 3, InitialWeights(MOCO, tmp_path))
        assert "band red has a mean of 0.01 and a standard deviation of 0.004" in caplog.text
        assert "B1, B5, B6" in caplog.text
        caplog.clear()
        own = starting_point(
            "unet", None, bytes_, 3, InitialWeights(MOCO, tmp_path, scaling="chips")
        )
    assert "spread" not in caplog.text
    assert own.mean == bytes_.mean


@pytest.mark.parametrize(("tuning", "learning"), [("frozen", "decoder"), ("probe", "head")])
def test_what_is_frozen_stays_as_it_is_with_its_batch_statistics(
    tuning: str, learning: str
) -> None:
    torch.manual_seed(0)
    network = starting_point("unet", None, S2, 3, InitialWeights(tuning=tuning)).network.train()  # type: ignore[arg-type]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    labels = torch.randint(0, 3, (2, 64, 96))
    nn.functional.cross_entropy(network(torch.randn(2, 4, 64, 96)), labels).backward()
    optimizer.step()
    changed = {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}
    assert any(learning in name for name in changed)
    assert not any(name.startswith("encoder") for name in changed)
    assert tuning == "frozen" or all("segmentation_head" in name for name in changed)
    with pytest.raises(ConfigError, match="has no encoder"):
        starting_point("fcn", None, S2, 3, InitialWeights(tuning=tuning))  # type: ignore[arg-type]


def test_training_goes_on_from_a_model_directory(tmp_path: Path) -> None:
    from networks import TWO_CLASSES, spec_for

    from geoseg.models.saved.model_files import save_model

    torch.manual_seed(2)
    network = build("unet", "resnet18", 4, 2)
    spec = spec_for(S2.names).model_copy(
        update={"architecture": "unet", "backbone": "resnet18", "scheme": TWO_CLASSES}
    )
    save_model(tmp_path / "old", network, spec)
    first = starting_point("unet", None, S2, 2, InitialWeights(str(tmp_path / "old")))
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name
    assert (first.mean, first.std) == (spec.mean, spec.std)
    more = starting_point("unet", None, S2, 5, InitialWeights(str(tmp_path / "old")))
    assert more.network(torch.zeros(2, 4, 64, 64)).shape[1] == 5
    assert load_network(tmp_path / "old")[1].backbone == "resnet18"


class TestWeightFiles:
    def test_a_file_without_tensors_holds_no_weights(self, tmp_path: Path) -> None:
        torch.save({"epoch": 3}, tmp_path / "w.pth")
        with pytest.raises(ModelError, match=r"w\.pth: holds no weights"):
            weight_files.read(tmp_path / "w.pth")

    def test_weights_that_are_not_finite_are_refused_by_name(self, tmp_path: Path) -> None:
        save_file({"stem": torch.tensor([float("inf")])}, tmp_path / "w.safetensors")
        with pytest.raises(ModelError, match="not finite; got stem"):
            weight_files.read(tmp_path / "w.safetensors")
