"""What the processor can do."""

from __future__ import annotations


def has_bf16() -> bool:
    """Whether the GPU, or without one the CPU, computes in bfloat16 instead of emulating it."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
