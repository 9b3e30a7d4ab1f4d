"""What the machine is good at."""

from __future__ import annotations


def has_bf16() -> bool:
    """Whether the processor that maps computes in bfloat16 itself instead of imitating it."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
