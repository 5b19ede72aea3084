"""Write docs/which-r1.md from what ``kvasir fit`` says; ``tests/bot/test_which_r1.py`` keeps the page true."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from bot.__main__ import main

PAGE = Path(__file__).parents[1] / "docs" / "which-r1.md"
MACHINES = {
    "One card of 24 GB": ("1x24GB", ("14B", "32B --people 1")),
    "One card of 80 GB": ("1x80GB", ("32B", "70B")),
    "Eight cards of 80 GB": ("8x80GB", ("R1-0528", "70B")),
    "Two machines with eight cards of 80 GB each": ("2x8x80GB", ("R1-0528",)),
}
HEAD = """# Which R1 can I run?

`kvasir fit` answers this for the machine it is run on, and `kvasir fit --machine 8xA100-80GB` for another one: by name
(`8xA100-80GB`, `4xRTX-4090`), by memory alone (`4x48GB`), or as nodes × cards × memory (`2x8x80GB`). `kvasir fit 32B`
shows one variant in full, with its command or the reasons against it in numbers. `--people`, `--context`,
`--precision`, `--for speed` and `--offload` say what you want; `--json` is for scripts. `KVASIR_MODEL=auto` hosts the
best that fits.

This page is written by `scripts/make_which_r1.py` from what `kvasir fit` prints, for four people at once with at least
8,192 tokens each, and a test holds it to that. A card that is described by its memory alone counts as one of compute
capability 8.0 (A100, RTX 3090); name it, and newer formats (fp8 context, W4AFP8, NVFP4) are considered as well.

How it is computed: weights from the shape of the model and the bits of the checkpoint (embedding and output head stay
in 16 bits); context from SGLang 0.5.23's own reserve; splits that its attention heads and quantisation groups allow.
*Context for all* is in tokens. SGLang's reserve is a rule of thumb: where it turns out too small, lower
`--mem-fraction-static`. The commands listen on every address: add `--api-key`, and give Kvasir the address as
`KVASIR_ENGINE_URL` and the key as `KVASIR_ENGINE_API_KEY`. Where Kvasir hosts the engine itself it needs no command.
"""
TAIL = """
## What is often said, and false

- *The 671B runs in FP16, or in its native FP8, on 8×A100-80GB.* Its weights are 1249.9 GiB or 626.8 GiB, which is
  156.2 or 78.4 GiB a card; 63.0 GiB a card are left after the CUDA context and SGLang's reserve. In int4 it does, with
  42.4 GiB a card.
- *4-bit saves 75 %.* It saves 55 % of the 1.5B and 72 % of the 70B: embedding and output head stay in 16 bits, and
  groups carry scales. Context is not smaller at all.
- *A 32B runs on one card of 24 GB.* With SGLang's default flags it does not, at any precision. With the flags that
  `kvasir fit 32B --people 1 --machine 1x24GB` prints, one person at a time gets a short context.

"33B" and "13B" are what people call the 32B (32.8 billion parameters) and the 14B (14.8 billion).
"""


def said(arguments: str) -> str:
    """Return what ``kvasir fit`` prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["fit", *arguments.split()]) == 0, arguments
    return printed.getvalue().strip()


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for title, (machine, variants) in MACHINES.items():
        parts.append(f"\n## {title}\n\n{said(f'--machine {machine} --markdown')}\n")
        for variant in variants:
            parts.append(f"\n`kvasir fit {variant} --machine {machine}`:\n\n")
            parts.append(f"```text\n{said(f'{variant} --machine {machine}')}\n```\n")
    return "".join([*parts, TAIL])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
