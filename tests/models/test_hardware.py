"""Whether the hardware computes in bf16."""

from __future__ import annotations

import pytest
import torch

from geoseg.job import WorkerOptions, spread
from geoseg.models.run import hardware


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({}, False),
        ({"avx512_f": True}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
    ],
    ids=str,
)
def test_a_processor_has_bf16_when_it_says_so(
    able: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(hardware.BF16, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert hardware.has_bf16() is expected


def test_a_graphics_card_that_imitates_bf16_does_not_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(hardware.BF16, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for real in (True, False):
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation, real=real: real or including_emulation,
        )
        assert hardware.has_bf16() is real


@pytest.mark.parametrize("processor", [False, True])
def test_the_environment_overrides_what_the_processor_says_of_bf16(
    processor: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": processor})
    for answer, expected in {"0": False, "1": True, "": processor}.items():
        monkeypatch.setenv(hardware.BF16, answer)
        assert hardware.has_bf16() is expected


@pytest.mark.slow
def test_worker_processes_inherit_the_answer_about_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    other = not hardware.has_bf16()
    monkeypatch.setenv(hardware.BF16, str(int(other)))
    ((_, found),) = spread(bf16_there, [0], WorkerOptions(workers=1), label="asking")
    assert found is other


def bf16_there(_: int) -> bool:
    return hardware.has_bf16()
