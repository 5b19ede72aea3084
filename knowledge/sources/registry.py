"""A ``[[source]]`` table of ``kvasir.toml`` becomes a source; what is wrong with it is said by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from knowledge.errors import SourceMisconfigured
from knowledge.interfaces import Source
from knowledge.settings import SourceSpec
from knowledge.sources import folder

_Options = TypeVar("_Options")

COMMON_KEYS = ("name", "kind", "schedule")
"""The keys that every kind of source has."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of source: the dataclass of its own keys, and how it is built from them."""

    options: type[Any]
    build: Callable[[str, Any, Path, frozenset[str]], Source]
    """Takes the source's name, the options, the folder where relative paths start, and the readers."""


KINDS: Mapping[str, Kind] = {"folder": Kind(folder.FolderOptions, folder.build)}


def build(spec: SourceSpec) -> Source:
    """Build the source that a table describes; reads no document and opens no connection.

    Raises:
        SourceMisconfigured: its kind or one of its keys is unknown, missing, or of the wrong type.

    """
    if spec.kind not in KINDS:
        raise SourceMisconfigured(
            f"Source {spec.name}: there is no kind “{spec.kind}”.{nearest(spec.kind, KINDS)} "
            f"Kinds are: {', '.join(sorted(KINDS))}."
        )
    kind = KINDS[spec.kind]
    return kind.build(spec.name, read_options(kind.options, spec), spec.base_dir, spec.readers)


def read_options(options: type[_Options], spec: SourceSpec) -> _Options:
    """Fill the dataclass ``options`` from a table's own keys.

    Raises:
        SourceMisconfigured: a key is unknown, missing, or of the wrong type.

    """
    known: dict[str, Field[Any]] = {field.name: field for field in fields(options)}  # type: ignore[arg-type]
    for key in spec.options:
        if key not in known:
            raise SourceMisconfigured(
                f"Source {spec.name}: a {spec.kind} has no key “{key}”.{nearest(key, [*known, *COMMON_KEYS])} "
                f"Its keys are: {', '.join([*known, *COMMON_KEYS])}."
            )
    for name, field in known.items():
        if name not in spec.options and field.default is MISSING and field.default_factory is MISSING:
            raise SourceMisconfigured(f"Source {spec.name}: a {spec.kind} needs the key “{name}”. Add it.")
    hints = get_type_hints(options)
    return options(**{key: _typed(value, hints[key], f"{spec.name}: {key}") for key, value in spec.options.items()})


def nearest(word: str, known: Collection[str]) -> str:
    """Return " Did you mean …?" for the nearest known word, "" when none is near."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean “{found[0]}”?" if found else ""


def _typed(value: object, hint: Any, where: str) -> object:  # noqa: ANN401 - a type, whatever it is
    """Return the value as its field's type has it."""
    if get_origin(hint) in {Union, UnionType}:
        hint = next(part for part in get_args(hint) if part is not NoneType)
    if get_origin(hint) is tuple:
        if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
            return tuple(value)
        raise SourceMisconfigured(f'Source {where} must be a list of strings. Write it as ["…", "…"].')
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        names = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
        raise SourceMisconfigured(f"Source {where} must be {names[hint]}. Correct it in kvasir.toml.")
    return value
