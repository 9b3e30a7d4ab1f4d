"""The list of pretrained weights: names, bands and scaling, resolved offline."""

from __future__ import annotations

import json

import pytest
import torch
import torchgeo.models
from pretrained_weights import MOCO, ROADS

from geoseg.cli import _main
from geoseg.errors import ConfigError, ModelError
from geoseg.models.band_names import bands_of, common_name
from geoseg.models.pretrained.transfer import Kernel
from geoseg.models.pretrained.weights import all_weights, named
from geoseg.steps.models import list_models


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
