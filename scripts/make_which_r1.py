"""Write docs/which-r1.md from the output of ``kvasir fit``; ``tests/cli/test_fit.py`` compares the two."""

from __future__ import annotations

import contextlib
import io
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot.__main__ import main
from engine.planning.catalogue import VARIANTS, explain_nickname, resolve_model
from engine.planning.variant import GIB, R1_SCORES, estimate_quality, estimate_weights_bytes

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

For operators who choose a model or buy cards for one. This page shows which R1 runs on which machine, with the
command.

`kvasir fit` answers this for the machine on which you run it, and `kvasir fit --machine 8xA100-80GB` for another one.
Name the machine by its cards (`8xA100-80GB`, `4xRTX-4090`), by memory alone (`4x48GB`), or as nodes × cards × memory
(`2x8x80GB`). `kvasir fit 32B` shows one variant in full, with its command or the reasons against it in numbers.
`--people`, `--context`, `--precision`, `--for speed` and `--offload` say what you want; `--json` is for scripts.
`KVASIR_MODEL=auto` hosts the best model that fits.

`scripts/make_which_r1.py` writes this page from the output of `kvasir fit`, and a test compares the two. The figures
are for four people at once with at least 8,192 tokens each. A card without a name counts as one of compute capability
8.0 (A100, RTX 3090). If you name the card, `kvasir fit` also considers newer formats (R1's own FP8, fp8 context,
W4AFP8, NVFP4). On a machine with different cards, the largest group of equal ones counts. On cards with MIG, the
largest instance counts.

Without a GPU a small model answers on the CPU, which is not an R1 ([The engine](engine.md) says which). One R1 also
runs on a CPU: `KVASIR_MODEL=R1-Distill-Qwen-1.5B`. It takes about 8 GB of memory and a download of 3.6 GB, and an
answer takes minutes.

**What was tested.** The calculation agrees with published tables, and with SGLang's own figures on a CPU
([benchmarks](benchmarks.md)). SGLang 0.5.23's own parser has read every command line. No plan of this page has been
started on a GPU yet, and no weights of an R1 were loaded. First tokens and tokens a second are estimates.

**How `auto` chooses.** It compares each published score of a model (AIME 2024, MATH-500, GPQA Diamond, LiveCodeBench)
with R1's, and takes the lowest ratio. It multiplies that by what the precision keeps, and chooses the highest result.
So 0528-Qwen3-8B, whose AIME is above R1's, comes after the 32B and the 70B, which have the better GPQA, and before
the 14B. These are published benchmarks; your questions are different.

**How the memory is computed.** Weights come from the shape of the model and the bits of the checkpoint. The embedding
and the output head stay in 16 bits. The context comes from SGLang 0.5.23's own reserve, and the splits from what its
attention heads and quantization groups allow. *Context for all* is in tokens. SGLang's reserve is a rule of thumb: if
it is too small, lower `--mem-fraction-static`.

**How to read the tables.** *Runs* is the best precision that fits. *Cards* is how many cards it takes, and `tp 8` means
that eight of them share each layer. *At once* is how many people get an answer at the same time.

**Keys.** The commands listen on every address, so give them a key. Put it into a file that only you can read: `ps`
shows `--api-key` on a command line to everybody on that machine.

```sh
(umask 077 && echo "api-key: $(openssl rand -hex 32)" > key.yaml)   # then add --config key.yaml to the command
```

Set `KVASIR_ENGINE_URL` to the address and `KVASIR_ENGINE_API_KEY` to the key. If Kvasir hosts the engine, you need no
command.
"""


def run_fit(arguments: str) -> str:
    """Return the output of ``kvasir fit``."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main(["fit", *arguments.split()])
    return printed.getvalue().strip()


def build_page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for title, (machine, variants) in MACHINES.items():
        parts.append(f"\n## {title}\n\n{run_fit(f'--machine {machine} --markdown')}\n")
        for variant in variants:
            parts.append(f"\n`kvasir fit {variant} --machine {machine}`:\n\n")
            parts.append(f"```text\n{run_fit(f'{variant} --machine {machine}')}\n```\n")
    return "".join(
        [*parts, compare_claims(), list_false_claims(), *(f"\n{explain_nickname(name)}\n" for name in ("33B", "13B"))]
    )


def compare_claims() -> str:
    """Return the section that compares figures in circulation with published ones and with the planner's."""
    lines = [f"| {' | '.join(row)} |\n" for row in compare_figures()]
    return (
        "\n## Which figures about R1 are right?\n\n"
        "*What Kvasir finds* is calculated, not measured on a GPU. *Unverified* means that we know no published "
        "measurement.\n\n"
        "| claim | published or measured | what Kvasir finds | where that comes from |\n| --- | --- | --- | --- |\n"
    ) + "".join(lines)


def compare_figures() -> Iterator[tuple[str, str, str, str]]:
    """Yield for each claim: the claim, the published figure, ours, and where ours comes from."""
    model = resolve_model("33B")
    ratios = [100 * score / R1_SCORES[name] for name, score in model.scores.items()]
    yield (
        "33B at 92 % of the full model",
        "90.4 %, the mean over four published scores",
        f"{statistics.mean(ratios):.1f} % on average, {100 * estimate_quality(model):.1f} % in the weakest score",
        "the scores in `engine/planning/catalogue.toml`, each divided by R1's",
    )
    fast, slow = (
        load_fit(f"33B --machine {machine} --precision {precision}")["estimate"]
        for machine, precision in (("H100", "fp8"), ("A100-80GB", "bf16"))
    )
    yield (
        "33B: the first answer in 1.2 s",
        "unverified; a model that thinks can reach this with its first token alone",
        "; ".join(
            f"first token {one['first_token_s']:.2f} s, answer {one['answer_s']:.0f} s on an {card}"
            for one, card in ((fast, "H100"), (slow, "A100"))
        ),
        "`kvasir fit 33B --machine H100 --precision fp8`, and `A100-80GB` with `bf16`: estimates for 2,000 in, 512 out",
    )
    saved = [
        100 * (1 - estimate_weights_bytes(variant, checkpoint) / GIB / variant.weights_gib)
        for variant in VARIANTS
        for checkpoint in variant.checkpoints
        if variant.family == "gqa" and checkpoint.precision == "int4"
    ]
    yield (
        "75 % less memory by 4 bits",
        "unverified; the sizes follow from the published shapes",
        f"{min(saved):.0f} to {max(saved):.0f} % less for the weights of the distills, and nothing for the context",
        "the sizes of the int4 checkpoints in the catalogue",
    )
    alone, usual = load_fit("33B --machine 1x24GB --people 1"), load_fit("33B --machine 1x24GB")
    yield (
        "33B on one card of 24 GB",
        "unverified",
        f"{describe_plan(usual)} for four people; for one it {describe_plan(alone)}",
        "`kvasir fit 33B --machine 1x24GB`, and with `--people 1`",
    )
    yield (
        "7B on 12 GB",
        "unverified",
        describe_plan(load_fit("7B --machine 1x12GB")),
        "`kvasir fit 7B --machine 1x12GB`",
    )
    whole, any_precision = load_fit("R1 --machine 8xA100-80GB --precision fp8"), load_fit("R1 --machine 8xA100-80GB")
    yield (
        "671B on eight A100 of 80 GB",
        "unverified; others ran R1-0528-AWQ on eight H100: 62 tokens a second for one person",
        f"in its native fp8: {describe_plan(whole)}; otherwise {describe_plan(any_precision)}",
        "`kvasir fit R1 --machine 8xA100-80GB`, and with `--precision fp8`",
    )


def load_fit(arguments: str) -> dict[str, Any]:
    """Return the output of ``kvasir fit --json``."""
    report: dict[str, Any] = json.loads(run_fit(f"{arguments} --json"))
    return report


def describe_plan(report: dict[str, Any]) -> str:
    """Return whether the model fits, and in which precision with how much context."""
    if not report["fits"]:
        return "does not fit"
    reserve = ", and a smaller reserve than SGLang's default" if report["memory_fraction"] else ""
    return f"fits in {report['precision']} with {report['kv_tokens']:,} tokens of context in all{reserve}"


def list_false_claims() -> str:
    """Return the section of common false claims, each with the numbers that ``kvasir fit`` gives against it."""
    claims = [claim for arguments in CLAIMS for claim in json.loads(run_fit(f"{arguments} --json"))["claims"]]
    items = [claim.removeprefix("A common claim is false: ") for claim in dict.fromkeys(claims)]
    return "\n## Which common claims are false?\n" + "".join(f"\n- {item}\n" for item in items)


if __name__ == "__main__":
    PAGE.write_text(build_page(), encoding="utf-8")
