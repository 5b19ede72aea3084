"""``kvasir fit``: which R1 runs on which machine, how, and if not, why not in numbers."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from bot.cli.commands.fit_view import fit_json, machine_line, markdown, show_fit, show_table, table_json
from bot.cli.output import result, result_json, say
from bot.config.settings import cache_folder
from engine.planning.cards import parse_machine
from engine.planning.catalogue import VARIANTS, nickname, resolve
from engine.planning.fit import AUTO, Wish, best, fitted, small_model
from engine.planning.hardware import Machine
from engine.planning.machine_probe import probe
from engine.planning.plans import Fit

_CHOICE_S = 30.0


async def main(arguments: argparse.Namespace) -> int:
    """Print the table of all variants, or one in full; exit status 1 where the one that was asked for does not fit."""
    machine = parse_machine(arguments.machine) if arguments.machine else await _here()
    wish = Wish(arguments.context, arguments.people, arguments.goal, arguments.precision, arguments.offload)
    if arguments.variant is None:
        fits = [fitted(variant, machine, wish) for variant in VARIANTS]
        if arguments.json:
            result_json(table_json(machine, fits, best(machine, wish)))
        elif arguments.markdown:
            result(markdown(fits, best(machine, wish)))
        else:
            show_table(machine, fits, best(machine, wish), sys.stdout)
        return 0
    found = _one(arguments.variant, machine, wish)
    if arguments.json:
        result_json(fit_json(found))
    else:
        if (really := nickname(arguments.variant)) is not None:
            say(really)
        result(machine_line(machine))
        show_fit(found, sys.stdout)
    return 0 if found.plan is not None else 1


def _one(name: str, machine: Machine, wish: Wish) -> Fit:
    if name.strip().lower() != AUTO:
        return fitted(resolve(name), machine, wish)
    chosen = best(machine, wish)
    if chosen is not None:
        return fitted(chosen.variant, machine, wish)
    each = f" with {wish.context_tokens} tokens each" if wish.context_tokens else ""
    small, why = small_model(machine)
    asked = f"No R1 fits on the GPUs here as asked ({wish.people} at once{each})"
    say(
        f"{asked if machine.cards else 'There is no GPU here'}, so {AUTO} takes {small.name}, a small model on the "
        f"CPU, not an R1: {why} `kvasir fit VARIANT` says what is in the way, and what fits instead."
    )
    return fitted(small, machine, wish)


async def _here() -> Machine:
    async with asyncio.timeout(_CHOICE_S):
        return await asyncio.to_thread(probe, cache_folder(os.environ, Path.cwd()))
