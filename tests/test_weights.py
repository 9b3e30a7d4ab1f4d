"""Pretrained weights: resolved without a connection, fetched whole, put into networks by name."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import torchgeo.models
from conftest import MakeRaster
from safetensors.torch import save_file
from servers import serve
from torch import nn

import geoseg
from geoseg.cli import _main
from geoseg.errors import ConfigError, ModelError, RetryError
from geoseg.models.band_names import bands_of, common_name
from geoseg.models.fit.starting_point import InitialWeights, InputBands, starting_point
from geoseg.models.networks.build import build
from geoseg.models.pretrained import weight_files
from geoseg.models.pretrained.fetch_weights import fetch
from geoseg.models.pretrained.transfer import Kernel
from geoseg.models.pretrained.weights import Weights, all_weights, named
from geoseg.models.saved.model_files import load_network
from geoseg.models.saved.spec import read_spec
from geoseg.steps.models import fetch_model, list_models, show_model

S2 = InputBands(("B2", "B3", "B4", "B8"), (1200.0,) * 4, (600.0,) * 4)
ROADS = "Unet_Weights.NAIP_RGBN_RESNET18_CHESAPEAKERSC"
MOCO = "ResNet18_Weights.SENTINEL2_ALL_MOCO"


def swin() -> nn.Module:
    model: nn.Module = torchgeo.models.swin_v2_t()
    model.features[0][0] = nn.Conv2d(9, 96, 4, 4)  # type: ignore[index]
    return model


def roads() -> nn.Module:
    return torchgeo.models.unet(encoder_name="resnet18", in_channels=4, classes=2)


KINDS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    MOCO: (lambda: torchgeo.models.resnet18(in_chans=13), "unet"),
    "ViTSmall16_Weights.SENTINEL2_ALL_DINO": (
        lambda: torchgeo.models.vit_small_patch16_224(in_chans=13),
        "dpt",
    ),
    "ViTSmall14_DINOv2_Weights.SENTINEL2_ALL_SOFTCON": (
        lambda: torchgeo.models.vit_small_patch14_dinov2(in_chans=13),
        "dpt",
    ),
    "Swin_V2_T_Weights.SENTINEL2_SI_MS_SATLAS": (swin, "upernet"),
    ROADS: (roads, "unet"),
}
"""Builders of torchgeo, whose weights have the layout of the real files."""


def fake(folder: Path, name: str, *, hashed: bool = True) -> Weights:
    """A file of random weights under the name that torch's cache gives it; returns what names it.

    The hash in the name is that of the fake, as the list's is of the real file.
    """
    torch.manual_seed(4)
    folder.mkdir(parents=True, exist_ok=True)
    listed = named(name)
    path = folder / "new.pth"
    torch.save(KINDS[name][0]().state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    file = f"fake-{digest}.pth" if hashed else listed.file
    path.rename(folder / file)
    return replace(listed, url=f"http://127.0.0.1/{file}")


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Weights], None]]:
    """Puts weights into the list, for one test; torch's cache is empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    kept = dict(all_weights())

    def put(found: Weights) -> None:
        all_weights()[found.name] = found

    yield put
    all_weights().update(kept)


def test_all_weights_resolve_to_bands_and_scaling() -> None:
    enums = [
        str(each)
        for kind, value in vars(torchgeo.models).items()
        if kind.endswith("_Weights")
        for each in value
    ]
    assert sorted(all_weights()) == sorted(enums)
    assert len(enums) > 100
    for each in all_weights().values():
        assert len(each.bands) == len(each.mean) == len(each.std), each.name
        assert len(set(each.bands)) == len(each.bands), each.name
        assert all(std > 0 for std in each.std), each.name
        if each.use != "none":
            assert each.bands, each.name
            assert each.backbone, each.name
            assert each.sensor, each.name
        assert (each.use == "model") == bool(each.classes), each.name
    usable = [each.file for each in all_weights().values() if each.use != "none"]
    assert len(set(usable)) == len(usable), "files of one folder"


@pytest.mark.parametrize(
    ("name", "bands", "mean", "std"),
    [
        ("ResNet50_Weights.SENTINEL2_ALL_MOCO", 13, 0, 10_000),
        ("ResNet50_Weights.SENTINEL1_ALL_MOCO", 2, -12.59, 5.26),
        ("ResNet50_Weights.FMOW_RGB_GASSL", 3, 255 * 0.485, 255 * 0.229),
        ("ResNet50_Weights.SENTINEL2_RGB_SECO", 3, 3 + 85 / 255 * 0.485, 85 / 255 * 0.229),
        ("Swin_V2_B_Weights.LANDSAT_SI_SATLAS", 11, 4000, 16320),
        (ROADS, 4, 0, 255),
        ("Unet_Weights.SENTINEL2_3CLASS_FTW", 8, 0, 3000),
        ("Unet_Weights.OAM_RGB_RESNET50_TCD", 3, 0, 1),
    ],
)
def test_normalizations_one_after_the_other_are_one(
    name: str, bands: int, mean: float, std: float
) -> None:
    found = named(name)
    assert len(found.bands) == bands
    assert (found.mean[0], found.std[0]) == (pytest.approx(mean), pytest.approx(std))


def test_fields_of_the_world_take_two_dates() -> None:
    bands = named("Unet_Weights.SENTINEL2_3CLASS_FTW").bands
    assert bands == ("B4_1", "B3_1", "B2_1", "B8_1", "B4_2", "B3_2", "B2_2", "B8_2")


def test_a_name_that_is_nearly_right_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="SENTINEL2_ALL_MOCO"):
        named("ResNet50_Weights.SENTINEL2_MOCO")


def test_band_names_of_scenes_and_sensors_mean_the_same() -> None:
    assert {common_name(name) for name in ("B04", "B4", "red", "R", "Red")} == {"red"}
    assert common_name("B8A") == common_name("B8a") == "nir08"
    assert common_name("B5", "Landsat OLI") == common_name("SR_B4", "Landsat TM/ETM+") == "nir"
    assert common_name("dem") == "dem"
    assert bands_of("mndwi", ("SR_B3", "SR_B6"), "x") == ("SR_B3", "SR_B6")
    with pytest.raises(ModelError, match="wanted swir16"):
        bands_of("mndwi", ("green", "nir"), "scene")


def test_input_bands_are_taken_by_name_averaged_and_dropped() -> None:
    kernel = torch.arange(3.0)[None, :, None, None].expand(2, 3, 1, 1)  # B4: 0, B3: 1, B2: 2
    fitted = Kernel(("B4", "B3", "B2"), ("blue", "dem", "red"))
    assert fitted(kernel)[0].ravel().tolist() == [2, 1, 0]
    assert fitted.explain() == "dem get the mean of all; B3 of the weights are not used"
    alike = Kernel(("B4", "B3", "B2"), ("b1", "b2", "b3"))
    assert alike(kernel)[0].ravel().tolist() == [0, 1, 2]
    assert alike.explain() == "bands taken in order: b1 as B4, b2 as B3, b3 as B2"
    other = Kernel(("B4", "B3", "B2"), ("b1", "b2"))
    assert other(kernel)[0].ravel().tolist() == [1.5, 1.5]  # of a grey image the sum stays 3
    assert Kernel(("B4", "B3", "B2"), ("red", "green", "blue")).explain() == ""
    assert Kernel(("VV", "VH"), ("VH", "VV")).sources == [1, 0]


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


def test_weights_that_are_not_there_say_how_to_get_them_and_nothing_is_fetched(
    tmp_path: Path, listed: Callable[[Weights], None]
) -> None:
    listed(replace(named(MOCO), url="http://127.0.0.1:9/some-0123abcd.pth"))
    with pytest.raises(ConfigError) as caught:
        starting_point("unet", None, S2, 3, InitialWeights(MOCO, tmp_path / "w"))
    assert str(tmp_path / "w") in str(caught.value)
    assert "some-0123abcd.pth" in str(caught.value)
    assert f"geoseg models fetch {MOCO} --to {tmp_path / 'w'}" in str(caught.value)


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


def test_fetching_ends_with_a_whole_file_of_the_right_hash(
    tmp_path: Path, listed: Callable[[Weights], None]
) -> None:
    found = fake(tmp_path / "server", MOCO)
    del listed
    with serve(tmp_path / "server") as server:
        there = replace(found, url=f"{server.url}/{found.file}")
        path = fetch(there, tmp_path / "w")
        assert path.read_bytes() == (tmp_path / "server" / found.file).read_bytes()
        (tmp_path / "server" / "fake-00000000.pth").write_bytes(b"something else")
        wrong = replace(found, url=f"{server.url}/fake-00000000.pth")
        with pytest.raises(ConfigError, match=r"the server sent another file.*wanted 00000000"):
            fetch(wrong, tmp_path / "w")
        gone = replace(found, url=f"{server.url}/none-0123abcd.pth")
        with pytest.raises(ConfigError, match="404"):
            fetch(gone, tmp_path / "w")
    assert [each.name for each in (tmp_path / "w").iterdir()] == [found.file]
    assert fetch(there, tmp_path / "w") == path  # the server is gone, the file is here
    with pytest.raises(RetryError, match="cannot be fetched"):
        fetch(there, tmp_path / "other")


def test_a_ready_model_is_fetched_and_maps_like_torchgeos(
    tmp_path: Path, listed: Callable[[Weights], None], make_raster: MakeRaster
) -> None:
    found = fake(tmp_path / "server", ROADS)
    with serve(tmp_path / "server") as server:
        listed(replace(found, url=f"{server.url}/{found.file}"))
        model = fetch_model(ROADS)
    spec = read_spec(model)
    assert (spec.gsd_m, spec.dtype, spec.licence) == (1.0, "uint8", "MIT")
    assert spec.scheme.names == ("background", "road")
    image = np.random.default_rng(0).integers(1, 255, (4, 96, 128), dtype=np.uint8)
    transform = rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)
    scene = make_raster(tmp_path / "naip.tif", image, transform=transform, photometric="MINISBLACK")
    with rasterio.open(scene, "r+") as dataset:
        dataset.descriptions = ("red", "green", "blue", "near_infra")
    options = geoseg.PredictOptions(engine="torch", precision="fp32")
    (mapped,) = geoseg.predict(scene, ROADS, tmp_path / "map", options=options)
    theirs = roads()
    theirs.load_state_dict(torch.load(tmp_path / "server" / found.file, weights_only=True))
    with torch.inference_mode():
        logits = theirs.eval()(torch.from_numpy(image)[None] / 255)[0]
    with rasterio.open(mapped / "classes.tif") as dataset:
        assert (dataset.read(1) == logits.argmax(dim=0).numpy()).mean() > 0.999
        assert dataset.colormap(1)[1] == (0x6B, 0x6B, 0x6B, 255)
    assert show_model(ROADS)["classes"] == ("background", "road")
    assert show_model(model)["origin"] == ROADS


def test_a_ready_model_that_is_not_here_is_named_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="geoseg models fetch Unet_Weights.SENTINEL2_2CLASS_FTW"):
        geoseg.predict("scene.tif", "Unet_Weights.SENTINEL2_2CLASS_FTW", tmp_path / "map")
    with pytest.raises(ModelError, match="geoseg train CHIPS -o MODEL --weights"):
        geoseg.predict("scene.tif", MOCO, tmp_path / "map")


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


def test_the_list_is_searched_by_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert [each.name for each in list_models(["chesapeake"])] == [ROADS]
    assert {each.use for each in list_models()} == {"model", "backbone"}
    assert len(list_models(unusable=True)) == len(all_weights())
    assert _main(["models", "list", "sentinel2", "resnet18"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "use", "backbone", "bands", "sensor", "pixel", "licence"]
    assert [line.split()[0] for line in lines[1:]] == [
        MOCO, "ResNet18_Weights.SENTINEL2_RGB_MOCO", "ResNet18_Weights.SENTINEL2_RGB_SECO",
    ]  # fmt: skip
    assert _main(["models", "show", MOCO]) == 0
    assert json.loads(capsys.readouterr().out)["gsd_m"] == 10.0
    assert _main(["models", "fetch", "Presto_Weights.PRESTO"]) == 2
