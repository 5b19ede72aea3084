"""The platform class that SGLang instantiates; imported by SGLang alone, in its own environment."""

from __future__ import annotations

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

    def get_dispatch_key_name(self) -> str:
        """Name the operators' implementation that every machine has."""
        return "native"

    def is_pin_memory_available(self, device: object = None) -> bool:  # noqa: ARG002  # SGLang's signature
        """Say that there is no page-locked memory, which only a GPU's driver gives."""
        return False
