"""Products with matrices in bfloat16, for a CPU that cannot multiply in it; imported by SGLang alone."""

from __future__ import annotations

import functools

import torch

_ROWS = 16
"""From so many rows on, a matrix is converted faster than it is multiplied in bfloat16."""


def use_single_precision() -> None:
    """Let ``torch.nn.functional.linear`` multiply many rows of bfloat16 in single precision.

    Without AVX-512, PyTorch emulates bfloat16: 256 rows take five times as long as with a conversion. SGLang then reads
    20 tokens a second, and answers no health check while it reads.
    """
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        return
    plain = torch.nn.functional.linear

    @functools.wraps(plain)
    def multiply(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        if rows.dtype is not torch.bfloat16 or weight.dtype is not torch.bfloat16 or rows.shape[:-1].numel() < _ROWS:
            return plain(rows, weight, bias)
        product = plain(rows.float(), weight.float(), None if bias is None else bias.float())
        return product.to(torch.bfloat16)

    torch.nn.functional.linear = multiply
