"""Pretrained weights and ready models, fetched whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from pretrained_weights import MOCO, ROADS, S2, fake, listing, roads
from servers import serve
from small_scene import MakeRaster

import geoseg
from geoseg.errors import ConfigError, ModelError, RetryError
from geoseg.models.fit.starting_point import InitialWeights, starting_point
from geoseg.models.pretrained.fetch_weights import fetch
from geoseg.models.pretrained.weights import Weights, named
from geoseg.models.saved.spec import read_spec
from geoseg.steps.models import fetch_model, show_model


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Weights], None]]:
    yield from listing(monkeypatch, tmp_path / "torch")


def test_weights_that_are_not_there_say_how_to_get_them_and_nothing_is_fetched(
    tmp_path: Path, listed: Callable[[Weights], None]
) -> None:
    listed(replace(named(MOCO), url="http://127.0.0.1:9/some-0123abcd.pth"))
    with pytest.raises(ConfigError) as caught:
        starting_point("unet", None, S2, 3, InitialWeights(MOCO, tmp_path / "w"))
    assert str(tmp_path / "w") in str(caught.value)
    assert "some-0123abcd.pth" in str(caught.value)
    assert f"geoseg models fetch {MOCO} --to {tmp_path / 'w'}" in str(caught.value)


@pytest.mark.slow
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


@pytest.mark.slow
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
