"""Write docs/which-r1.md from what ``kvasir fit`` says; ``tests/cli/test_fit.py`` keeps the page true."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

from bot.__main__ import main
from engine.planning.catalogue import nickname

PAGE = Path(__file__).parents[1] / "docs" / "which-r1.md"
MACHINES = {
    "One card of 24 GB": ("1x24GB", ("14B", "32B --people 1")),
    "One card of 80 GB": ("1x80GB", ("32B", "70B")),
    "Eight cards of 80 GB": ("8x80GB", ("R1-0528", "70B")),
    "Two machines with eight cards of 80 GB each": ("2x8x80GB", ("R1",)),
    "Two machines with eight H100 each": ("2x8xH100", ("R1-0528",)),
}
CLAIMS = ("R1 --machine 8xA100-80GB --precision fp8", "1.5B --machine 1x80GB --precision int4",
          "70B --machine 1x80GB --precision int4", "32B --machine 1x24GB --precision fp8")  # fmt: skip
HEAD = """# Which R1 can I run?

`kvasir fit` answers this for the machine it is run on, and `kvasir fit --machine 8xA100-80GB` for another one: by name
(`8xA100-80GB`, `4xRTX-4090`), by memory alone (`4x48GB`), or as nodes × cards × memory (`2x8x80GB`). `kvasir fit 32B`
shows one variant in full, with its command or the reasons against it in numbers. `--people`, `--context`,
`--precision`, `--for speed` and `--offload` say what you want; `--json` is for scripts. `KVASIR_MODEL=auto` hosts the
best that fits.

This page is written by `scripts/make_which_r1.py` from what `kvasir fit` prints, for four people at once with at least
8,192 tokens each, and a test holds it to that. A card that is described by its memory alone counts as one of compute
capability 8.0 (A100, RTX 3090); name it, and newer formats (R1's own FP8, fp8 context, W4AFP8, NVFP4) are considered as
well. Where the cards of a machine are not alike, the largest group of equal ones counts; of cards that MIG splits, the
largest instance.

Without a GPU a small model answers on the CPU, which is not an R1 ([Operating Kvasir](operating.md) says which). One R1
runs there as well, slowly: `KVASIR_MODEL=R1-Distill-Qwen-1.5B`. It takes about 8 GB of memory.

**How far this was tried.** The sums agree with published tables, and with SGLang's own figures on a CPU
([benchmarks](benchmarks.md)); every command line was read by SGLang 0.5.23's own parser. No plan of this page has been
started on a GPU yet, and no weights of an R1 were loaded. First tokens and tokens a second are estimates.

`auto` takes the model that is best where it is weakest: the least of its published scores (AIME 2024, MATH-500, GPQA
Diamond, LiveCodeBench) against R1's, times what the precision keeps. So 0528-Qwen3-8B, whose AIME is above R1's,
comes after the 32B and the 70B, which have the better GPQA, and before the 14B. These are published benchmarks; your
questions are others.

How it is computed: weights from the shape of the model and the bits of the checkpoint (embedding and output head stay
in 16 bits); context from SGLang 0.5.23's own reserve; splits that its attention heads and quantisation groups allow.
*Context for all* is in tokens. SGLang's reserve is a rule of thumb: where it turns out too small, lower
`--mem-fraction-static`. The commands listen on every address: give them a key, in a file that
only you can read, because `--api-key` on the command line is shown by `ps` to everybody on that machine:

```sh
(umask 077 && echo "api-key: $(openssl rand -hex 32)" > key.yaml)   # then add --config key.yaml to the command
```

Kvasir gets the address as `KVASIR_ENGINE_URL` and the key as `KVASIR_ENGINE_API_KEY`. Where Kvasir hosts the engine
itself it needs no command.
"""


def said(arguments: str) -> str:
    """Return what ``kvasir fit`` prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main(["fit", *arguments.split()])
    return printed.getvalue().strip()


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for title, (machine, variants) in MACHINES.items():
        parts.append(f"\n## {title}\n\n{said(f'--machine {machine} --markdown')}\n")
        for variant in variants:
            parts.append(f"\n`kvasir fit {variant} --machine {machine}`:\n\n")
            parts.append(f"```text\n{said(f'{variant} --machine {machine}')}\n```\n")
    return "".join([*parts, _false(), *(f"\n{nickname(name)}\n" for name in ("33B", "13B"))])


def _false() -> str:
    """Return what is often said and false, each with the numbers that ``kvasir fit`` gives against it."""
    told = [claim for arguments in CLAIMS for claim in json.loads(said(f"{arguments} --json"))["claims"]]
    bare = [claim.removeprefix("Often said and false: t") for claim in dict.fromkeys(told)]
    return "\n## What is often said, and false\n" + "".join(f"\n- T{claim}\n" for claim in bare)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
