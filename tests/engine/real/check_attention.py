"""Compare our attention with SGLang's own: ``check_attention.py PLAIN_CPU_FOLDER``, run with the engine's Python."""

from __future__ import annotations

import sys

import torch

sys.path.insert(0, sys.argv[1])

from attention import PrefixAttention, SinglePrecisionAttention
from sglang.srt.layers.attention.torch_native_backend import TorchNativeAttnBackend

HEADS, KV_HEADS, SIZE, SLOTS = 14, 2, 64, 4096
CASES = ([(0, 90)], [(300, 1)], [(300, 40)], [(0, 5), (200, 20), (30, 1)], [(64, 64), (0, 1)])
"""Tokens of the cached prefix and new ones, for each sequence of a batch."""

torch.manual_seed(0)
keys, values = (torch.randn(SLOTS, KV_HEADS, SIZE).bfloat16() for _ in range(2))
slots = torch.stack([torch.randperm(SLOTS)[:1024] for _ in range(3)])


def attend(kind, case, query):  # noqa: ANN001, ANN201  # classes of the engine's environment
    prefix, new = (torch.tensor(lengths) for lengths in zip(*case, strict=True))
    output = torch.empty_like(query)
    return kind.__new__(kind)._run_sdpa_forward_extend(
        query, output, keys, values, slots, torch.arange(len(case)), prefix + new, prefix, new,
        scaling=SIZE**-0.5, enable_gqa=True, causal=True,
    )  # fmt: skip


for case in CASES:
    query = torch.randn(sum(new for _, new in case), HEADS, SIZE).bfloat16()
    ours, theirs = (attend(kind, case, query) for kind in (PrefixAttention, TorchNativeAttnBackend))
    torch.testing.assert_close(ours, theirs, atol=0.01, rtol=0.02)


def decode(kind, lengths, query):  # noqa: ANN001, ANN201
    output = torch.empty_like(query)
    return kind.__new__(kind)._run_sdpa_forward_decode(
        query, output, keys, values, slots, torch.arange(len(lengths)), torch.tensor(lengths),
        scaling=SIZE**-0.5, enable_gqa=True, causal=False,
    )  # fmt: skip


for lengths in ([1], [600], [700, 3, 90]):
    query = torch.randn(len(lengths), HEADS, SIZE).bfloat16()
    ours = decode(SinglePrecisionAttention, lengths, query)
    assert ours.dtype is torch.bfloat16
    torch.testing.assert_close(ours, decode(TorchNativeAttnBackend, lengths, query), atol=0.01, rtol=0.02)
