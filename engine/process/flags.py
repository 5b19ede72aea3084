"""Check that the installed SGLang knows the flags of a launch.

SGLang renames flags between releases. Checked before the start, an unknown flag is an error at once instead of after
loading. The check parses SGLang's source, which takes a fraction of a second. Only for a flag that is not found there,
it runs ``--help``, which takes half as long as a start.
"""

from __future__ import annotations

import ast
import asyncio
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from engine.errors import EngineRefused, InstallError
from engine.installation.command import run_command
from engine.notes import NoteCode

_FLAG = re.compile(r"(?<![\w-])--[a-z0-9][a-z0-9-]*")
_DEADLINE_S = 120.0
_SOURCES = ("server_args.py", "arg_groups/fields/*.py")
"""Where SGLang registers its flags, below its folder ``srt``."""


async def check_flags(argv: Iterable[str], python: Path, environment: Mapping[str, str]) -> None:
    """Check that SGLang knows every flag of ``argv``; do nothing if SGLang does not run.

    Raises:
        EngineRefused: a flag is unknown; the text has the nearest known flag and the next step.

    """
    flags = list(dict.fromkeys(word for word in argv if word.startswith("--")))
    if set(flags) <= await asyncio.to_thread(read_registered_flags, python):
        return
    unknown = find_unknown_flags(flags, await read_help(python, environment))
    if unknown:
        renamed = "; ".join(f"{flag}{f' (it has {near})' if near else ''}" for flag, near in unknown.items())
        raise EngineRefused(
            NoteCode.OTHER_RELEASE.fill(
                release=read_release(python) or "?", flags=renamed, folder=str(python.parent.parent)
            )
        )


def find_unknown_flags(argv: Iterable[str], help_text: str) -> dict[str, str]:
    """Return the flags that the help does not list, each with the nearest known flag or "".

    With an empty help, no flag is unknown.
    """
    known_flags = set(_FLAG.findall(help_text))
    flags = [word for word in argv if word.startswith("--")] if known_flags else []
    return {flag: _find_nearest(flag, known_flags) for flag in dict.fromkeys(flags) if flag not in known_flags}


def _find_nearest(flag: str, flags: set[str]) -> str:
    longer = sorted((one for one in flags if one.startswith(flag)), key=len)
    return next(iter(longer or difflib.get_close_matches(flag, flags, n=1, cutoff=0.7)), "")


def read_registered_flags(python: Path) -> set[str]:
    """Return the flags that SGLang's source registers; blocking.

    All of them are known. Some may be missing if a release registers them in another way, all if there is no source.
    """
    (folder, *_) = [*(python.parent.parent / "lib").glob("python*/site-packages/sglang/srt"), None]
    files = [path for pattern in _SOURCES for path in folder.glob(pattern)] if folder is not None else []
    try:
        return {flag for path in files for flag in _parse_source(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError, SyntaxError):
        return set()


def _parse_source(text: str) -> Iterator[str]:
    """Yield the arguments of ``add_argument``, and the names of annotated fields: ``tp_size: A[int, Arg(…)]``."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            yield from _list_strings(node.args)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield from _parse_field(node.target.id, node.annotation)


def _parse_field(name: str, annotation: ast.expr) -> Iterator[str]:
    """Yield the flags of one field; none without annotation or with ``no_cli``."""
    match annotation:
        case ast.Subscript(value=ast.Name(id="A"), slice=ast.Tuple(elts=[_, about])):
            options = {one.arg: one.value for one in about.keywords} if isinstance(about, ast.Call) else {}
            if "no_cli" not in options:
                yield from (
                    _list_strings([options["cli_name"]]) if "cli_name" in options else [f"--{name.replace('_', '-')}"]
                )
                yield from _list_strings(getattr(options.get("aliases"), "elts", []))


def _list_strings(nodes: Iterable[ast.expr]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def read_release(python: Path) -> str | None:
    """Return the installed release; None if unknown."""
    for info in (python.parent.parent / "lib").glob("python*/site-packages/sglang-*.dist-info"):
        return info.name.removeprefix("sglang-").removesuffix(".dist-info")
    return None


async def read_help(python: Path, environment: Mapping[str, str]) -> str:
    """Return the output of ``--help``; "" if the program fails, which its start then reports."""
    lines: list[str] = []
    argv = (str(python), "-I", "-m", "sglang.launch_server", "--help")
    try:
        await run_command(
            argv, _DEADLINE_S, NoteCode.ERROR.fill(text="SGLang printed no help"), lines.append, environment=environment
        )
    except InstallError:
        return ""
    return "\n".join(lines)
