"""SGLang on plain PyTorch: an out-of-tree platform for a CPU without SGLang's own CPU kernels.

``engine.installation.installer`` copies this package into the engine's environment under the entry-point group
``sglang.srt.platforms``; Kvasir itself never imports it.
"""


def activate() -> str:
    """Return the platform's class as SGLang's plugin loader wants it, ``module:Class``."""
    return f"{__name__}.platform:PlainCpuPlatform"
