"""Attention of new tokens behind a prefix that the cache holds; imported by SGLang alone, in its own environment."""

from __future__ import annotations

from typing import Any

import torch
from sglang.srt.layers.attention.torch_native_backend import TorchNativeAttnBackend
from torch.nn.functional import scaled_dot_product_attention


class PrefixAttention(TorchNativeAttnBackend):  # type: ignore[misc]  # SGLang is in the engine's environment only
    """SGLang 0.5.23's attention on plain PyTorch, with queries for the new tokens alone.

    SGLang's own fills up the queries to the whole sequence. One new token behind a cached prefix then costs as much
    attention as reading the prefix did.
    """

    def _run_sdpa_forward_extend(  # noqa: PLR0913, PLR0917  # SGLang's signature
        self,
        query: torch.Tensor,
        output: torch.Tensor,
        k_cache: torch.Tensor,
        v_cache: torch.Tensor,
        req_to_token: torch.Tensor,
        req_pool_indices: torch.Tensor,
        seq_lens: torch.Tensor,
        extend_prefix_lens: torch.Tensor,
        extend_seq_lens: torch.Tensor,
        encoder_lens: torch.Tensor | None = None,
        scaling: float | None = None,
        enable_gqa: bool = False,  # noqa: FBT001, FBT002
        causal: bool = False,  # noqa: FBT001, FBT002
        is_cross_attn: bool = False,  # noqa: FBT001, FBT002
        sliding_window_size: int | None = None,
    ) -> Any:  # noqa: ANN401  # untyped where SGLang is not installed
        """Write the attention of each sequence's new tokens into ``output`` and return it.

        Shapes: query and output are tokens x heads x size, the caches slots x heads x size.
        """
        has_window = sliding_window_size is not None and sliding_window_size > -1
        if encoder_lens is not None or not causal or has_window:
            return super()._run_sdpa_forward_extend(
                query, output, k_cache, v_cache, req_to_token, req_pool_indices, seq_lens, extend_prefix_lens,
                extend_seq_lens, encoder_lens, scaling, enable_gqa, causal, is_cross_attn, sliding_window_size,
            )  # fmt: skip
        begin = 0
        lengths = zip(seq_lens.tolist(), extend_prefix_lens.tolist(), extend_seq_lens.tolist(), strict=True)
        for place, (length, prefix, count) in enumerate(lengths):
            slots = req_to_token[req_pool_indices[place], :length]
            mask = None if prefix == 0 or count == 1 else torch.ones(count, length, dtype=torch.bool).tril(prefix)
            output[begin : begin + count] = (
                scaled_dot_product_attention(
                    query[begin : begin + count].transpose(0, 1).unsqueeze(0),
                    k_cache[slots].to(query.dtype).transpose(0, 1).unsqueeze(0),
                    v_cache[slots].to(query.dtype).transpose(0, 1).unsqueeze(0),
                    attn_mask=mask,
                    enable_gqa=enable_gqa,
                    scale=scaling,
                    is_causal=prefix == 0,
                )
                .squeeze(0)
                .transpose(0, 1)
            )
            begin += count
        return output


class SinglePrecisionAttention(PrefixAttention):
    """The same for a CPU on which PyTorch emulates bfloat16: a token that is being written attends in float32."""

    def _run_sdpa_forward_decode(self, query: torch.Tensor, *others: Any, **named: Any) -> Any:  # noqa: ANN401
        """Write the attention of each sequence's last token; SGLang gives keys and values the type of the query."""
        return super()._run_sdpa_forward_decode(query.float(), *others, **named)
