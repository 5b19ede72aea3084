"""Whether the installed SGLang knows the flags that a start would give it, by its own ``--help``.

Its flags are renamed between releases. Asked beforehand, an unknown one is an error at once instead of after loading.
The text is kept in the engine's environment under the release's number, so it is made once.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.errors import EngineRefused

_FLAG = re.compile(r"(?<![\w-])--[a-z0-9][a-z0-9-]*")
_DEADLINE_S = 120.0


async def check(argv: Iterable[str], python: Path, environment: Mapping[str, str]) -> None:
    """Return if every flag of ``argv`` is known to the SGLang of that interpreter, or if it cannot be asked.

    Raises:
        EngineRefused: it does not know one; names the nearest that it knows and the next step.

    """
    unknown = unknown_flags(argv, await help_text(python, environment))
    if unknown:
        told = "; ".join(f"{flag}{f' (it has {near})' if near else ''}" for flag, near in unknown.items())
        raise EngineRefused(
            f"SGLang {release(python) or 'of this environment'} does not know {told}: another release has renamed or "
            f"dropped it. Remove {python.parent.parent} so that the pinned release is installed anew, then start again."
        )


def unknown_flags(argv: Iterable[str], help_text: str) -> dict[str, str]:
    """Return the flags that the help does not name, each with the nearest one that it names, "" without any.

    Nothing is unknown to an empty help.
    """
    known = set(_FLAG.findall(help_text))
    flags = [word for word in argv if word.startswith("--")] if known else []
    return {flag: _nearest(flag, known) for flag in dict.fromkeys(flags) if flag not in known}


def _nearest(flag: str, known: set[str]) -> str:
    longer = sorted((one for one in known if one.startswith(flag)), key=len)
    return next(iter(longer or difflib.get_close_matches(flag, known, n=1, cutoff=0.7)), "")


async def help_text(python: Path, environment: Mapping[str, str]) -> str:
    """Return what ``--help`` prints, "" where the program does not answer: its start will then say why."""
    kept = python.parent.parent / f"sglang-{release(python) or 'unknown'}.help.txt"
    with contextlib.suppress(OSError):
        return await asyncio.to_thread(kept.read_text, encoding="utf-8")
    told = await _ask(python, environment)
    if told:
        with contextlib.suppress(OSError):  # an environment that may not be written to is asked each time
            await asyncio.to_thread(_keep, kept, told)
    return told


def release(python: Path) -> str | None:
    """Return the number of the release in the environment of that interpreter, None where it does not say."""
    for info in (python.parent.parent / "lib").glob("python*/site-packages/sglang-*.dist-info"):
        return info.name.removeprefix("sglang-").removesuffix(".dist-info")
    return None


def _keep(path: Path, text: str) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


async def _ask(python: Path, environment: Mapping[str, str]) -> str:
    child = await asyncio.create_subprocess_exec(
        python,
        *("-I", "-m", "sglang.launch_server", "--help"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(environment),
    )
    try:
        async with asyncio.timeout(_DEADLINE_S):
            told, _ = await child.communicate()
    except TimeoutError:
        return ""
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return told.decode("utf-8", errors="replace") if child.returncode == 0 else ""
