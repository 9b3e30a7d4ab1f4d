"""What the processor can do."""

from __future__ import annotations

import os

from geoseg.errors import ConfigError

BF16 = "GEOSEG_BF16"
"""The environment variable that answers `has_bf16` instead of the processor."""


def has_bf16() -> bool:
    """Whether the GPU, or without one the CPU, computes in bfloat16 instead of emulating it.

    The environment variable GEOSEG_BF16 overrides the processor: 1 for yes, 0 for no; unset or
    empty asks the processor. Worker processes inherit it. It lets tests run as on the other kind
    of machine; where bfloat16 is emulated, 1 is slow.

    Raises:
        ConfigError: GEOSEG_BF16 is neither 0 nor 1.
    """
    if answer := os.environ.get(BF16):
        if answer not in ("0", "1"):
            raise ConfigError(
                "must be 0 or 1",
                where=f"environment variable {BF16}",
                got=repr(answer),
                fix="unset it to ask the processor",
            )
        return answer == "1"
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
