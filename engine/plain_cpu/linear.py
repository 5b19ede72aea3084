"""Products with matrices in bfloat16, for a CPU that cannot multiply in it; imported by SGLang alone."""

from __future__ import annotations

import functools

import torch

_ROWS = 4
"""From so many rows on, a matrix is converted faster than it is multiplied in bfloat16."""
_BLOCK = 1 << 20
"""Numbers of a matrix that each thread converts at once, so that they stay in the cache of the processor."""


def use_single_precision() -> None:
    """Let ``torch.nn.functional.linear`` multiply several rows of bfloat16 in single precision.

    Without AVX-512, PyTorch emulates bfloat16: 256 rows take six times as long as with a conversion. SGLang then reads
    20 tokens a second, and answers no health check while it reads.
    """
    plain = torch.nn.functional.linear

    @functools.wraps(plain)
    def multiply(
        input: torch.Tensor,  # noqa: A002 - PyTorch's name
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
    ) -> torch.Tensor:
        is_emulated = input.dtype is weight.dtype is torch.bfloat16 and weight.shape[:-1] != ()
        learns = torch.is_grad_enabled() and (input.requires_grad or weight.requires_grad)
        if not is_emulated or input.shape[:-1].numel() < _ROWS or learns:
            return plain(input, weight, bias)
        product = _multiply_blocks(input.reshape(-1, input.shape[-1]), weight)
        if bias is not None:
            product += bias
        return product.to(torch.bfloat16).view(*input.shape[:-1], len(weight))

    torch.nn.functional.linear = multiply


def _multiply_blocks(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the product in single precision. One block of memory holds each converted part of the matrix in turn."""
    rows, height = rows.float(), max(1, torch.get_num_threads() * _BLOCK // weight.shape[1])
    block = rows.new_empty(min(height, len(weight)), weight.shape[1])
    product = rows.new_empty(len(rows), len(weight))
    for start in range(0, len(weight), height):
        part = weight[start : start + height]
        converted = block[: len(part)].copy_(part)
        torch.mm(rows, converted.T, out=product[:, start : start + height])
    return product
