"""The platform class that SGLang instantiates; imported by SGLang alone, in its own environment."""

from __future__ import annotations

import torch
from sglang.srt.platforms.cpu import CpuDeviceMixin
from sglang.srt.platforms.device_mixin import PlatformEnum
from sglang.srt.platforms.interface import SRTPlatform


class PlainCpuPlatform(CpuDeviceMixin, SRTPlatform):  # type: ignore[misc]  # SGLang is in the engine's environment only
    """A CPU whose attention is PyTorch's own and whose kernels are the native ones."""

    _enum = PlatformEnum.OOT
    device_name = "cpu"
    device_type = "cpu"

    def get_default_attention_backend(self) -> str:
        """Name the attention backend that needs no kernel library."""
        return "torch_native"

    def init_backend(self) -> None:
        """Register the attention that reads only what is new, under the name of the one that it refines."""
        from kvasir_plain_cpu import attention  # noqa: PLC0415  # its name once installed
        from kvasir_plain_cpu.linear import use_single_precision  # noqa: PLC0415
        from sglang.srt.layers.attention.attention_registry import register_attention_backend  # noqa: PLC0415  # a circle

        # Without AVX-512, PyTorch emulates bfloat16.
        is_emulated = torch.backends.cpu.get_cpu_capability() == "AVX2"
        kind = attention.SinglePrecisionAttention if is_emulated else attention.PrefixAttention
        register_attention_backend("torch_native")(kind)
        if is_emulated:
            use_single_precision()

    def get_dispatch_key_name(self) -> str:
        """Name the operators' implementation that every machine has."""
        return "native"

    def is_pin_memory_available(self, device: object = None) -> bool:  # noqa: ARG002  # SGLang's signature
        """Say that there is no page-locked memory, which only a GPU's driver gives."""
        return False
