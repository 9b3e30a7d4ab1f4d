"""Calibration: the temperature is found, confidence comes to mean how often, classes stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from networks import save_fcn, spec_for
from torch import Tensor, nn

from geoseg.chips.chip_arrays import ChipArrays
from geoseg.grid import Window
from geoseg.models.fit.chip_logits import labelled_logits
from geoseg.models.fit.temperature import (
    calibrate,
    calibration_error,
    fit_temperature,
)
from geoseg.models.fit.training_settings import TrainingSettings
from geoseg.models.run.decide import decide
from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.models.run.network_predictors import NetworkPredictor
from geoseg.models.saved.model_files import load_network
from geoseg.models.saved.spec import ModelSpec
from geoseg.models.saved_model import SavedModel

BANDS = ("b1", "b2", "b3")
FIT = TrainingSettings(mean=(0.0,) * 4, std=(1.0,) * 4, classes=4, class_weights=(1.0,) * 4)


def draw(logits: Tensor, seed: int) -> Tensor:
    """Labels that are what the logits say as often as they say it."""
    generator = torch.Generator().manual_seed(seed)
    return torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]


def honest(pixels: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(pixels, 4, generator=generator)


@pytest.mark.parametrize("factor", [3.0, 0.4, 1.0])
def test_the_temperature_undoes_what_logits_were_multiplied_by(factor: float) -> None:
    logits = honest(200_000, 1)
    found = fit_temperature(factor * logits, draw(logits, 2))
    assert found == pytest.approx(factor, rel=0.02)


def test_calibration_lowers_the_error_on_pixels_it_was_not_fitted_to() -> None:
    fitted, held_out = honest(50_000, 1), honest(50_000, 11)
    temperature = fit_temperature(3 * fitted, draw(fitted, 2))
    labels = draw(held_out, 12)
    before = calibration_error(3 * held_out, labels)
    after = calibration_error(3 * held_out / temperature, labels)
    assert before > 0.15
    assert after < 0.01


def test_the_calibration_error_by_hand() -> None:
    """Four pixels at 0.8 of which three are right, four at 0.6 of which one is."""
    odds = torch.tensor([0.8, 0.2]).log().repeat(4, 1), torch.tensor([0.6, 0.4]).log().repeat(4, 1)
    labels = torch.tensor([0, 0, 0, 1, 0, 1, 1, 1])
    wanted = 0.5 * abs(0.75 - 0.8) + 0.5 * abs(0.25 - 0.6)
    assert calibration_error(torch.cat(odds), labels) == pytest.approx(wanted, abs=1e-5)


def test_without_a_labelled_pixel_nothing_is_calibrated() -> None:
    logits, labels = torch.empty(0, 4), torch.empty(0, dtype=torch.int64)
    assert fit_temperature(logits, labels) == 1.0
    assert np.isnan(calibration_error(logits, labels))


def chips() -> ChipArrays:
    """Ten chips of 40 x 40 px whose pixels are logits, and labels that are drawn from them."""
    logits = honest(16_000, 3)
    labels = draw(logits, 4).reshape(10, 40, 40).numpy().astype(np.uint8)
    images = logits.reshape(10, 40, 40, 4).movedim(-1, 1).numpy()
    valid = np.ones((10, 40, 40), dtype=bool)
    valid[:, :5], labels[:, :5] = False, 255
    return ChipArrays(images, valid, labels, np.arange(10))


class Sure(nn.Module):
    """Says what it sees, three times as loudly."""

    def forward(self, images: Tensor) -> Tensor:
        return 3 * images


def test_a_network_is_calibrated_on_the_labelled_pixels_of_chips() -> None:
    logits, labels = labelled_logits(Sure(), chips(), FIT)
    assert logits.shape == (10 * 35 * 40, 4)
    assert labels.max() == 3
    found = calibrate(logits, labels)
    assert found.temperature == pytest.approx(3, rel=0.05)
    assert found.ece_after < 0.02 < 0.15 < found.ece_before


def test_many_chips_give_a_share_of_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geoseg.models.fit.temperature.PIXELS", 1000)
    assert len(labelled_logits(Sure(), chips(), FIT)[1]) == 1000


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_a_temperature_changes_the_confidence_and_no_class(temperature: float) -> None:
    logits = torch.randn(5, 33, 20, generator=torch.Generator().manual_seed(0))
    logits[:, 3, 4] = 1.0
    plain, found = decide(logits), decide(logits, temperature)
    assert torch.equal(plain[0], found[0])
    wanted = (100 * (logits / temperature).softmax(dim=0).amax(dim=0)).round()
    assert (found[1] - wanted).abs().max() <= 1


def window() -> tuple[np.ndarray, np.ndarray, Window]:
    pixels = np.random.default_rng(2).integers(600, 1400, (3, 40, 56), dtype=np.uint16)
    return pixels, np.ones((40, 56), dtype=bool), Window(6, 6, 28, 44)


@pytest.mark.parametrize(
    "settings",
    [InferenceSettings(), InferenceSettings(probabilities=True), InferenceSettings(views="turns")],
)
def test_a_predictor_applies_the_temperature_of_its_spec(
    tmp_path: Path, settings: InferenceSettings
) -> None:
    network, spec = load_network(save_fcn(tmp_path / "model", spec_for(BANDS)))
    warm = spec.model_copy(update={"temperature": 3.0})
    cold = NetworkPredictor(network, spec, settings, device="cpu")
    calibrated = NetworkPredictor(network, warm, settings, device="cpu")
    one, other = cold(*window()), calibrated(*window())
    assert one[1].mean() > other[1].mean() + 5
    assert cold.fingerprint != calibrated.fingerprint
    if settings.views == "none":
        assert np.array_equal(one[0], other[0])


def test_members_of_an_ensemble_keep_their_own_temperatures(tmp_path: Path) -> None:
    folders = []
    for name, temperature in (("a", 1.0), ("b", 5.0)):
        spec = spec_for(BANDS).model_copy(update={"temperature": temperature})
        folders.append(save_fcn(tmp_path / name, spec))
    pixels, valid, core = window()
    both = SavedModel.open(folders, InferenceSettings(probabilities=True)).load("cpu")(
        pixels, valid, core
    )
    each = [
        SavedModel.open([f], InferenceSettings(probabilities=True)).load("cpu") for f in folders
    ]
    parts = np.mean([one(pixels, valid, core)[2:].astype(float) for one in each], axis=0)
    assert np.abs(both[2:] - parts).max() <= 1


def test_folds_in_one_directory_are_one_ensemble(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        save_fcn(tmp_path / "model" / f"fold-{number}", spec_for(BANDS))
    found = SavedModel.open([tmp_path / "model"], InferenceSettings())
    assert [folder.name for folder in found.folders] == ["fold-1", "fold-2", "fold-10"]


def test_a_spec_of_old_has_no_temperature_and_maps_as_before() -> None:
    spec = spec_for(BANDS)
    old = spec.model_dump_json(exclude={"temperature"})
    assert ModelSpec.model_validate_json(old).temperature == 1.0
