"""Build a source from its ``[[source]]`` table in ``kvasir.toml``; each error names the key that is wrong."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from knowledge.database.content import SharedContent
from knowledge.errors import SourceMisconfigured, suggest_nearest
from knowledge.interfaces import Memory, Source, SourceContext, SourceKey
from knowledge.settings import SourceSpec
from knowledge.sources.narrowing import narrow_source
from knowledge.web.http.settings import WebSettings

_Options = TypeVar("_Options")

COMMON_KEYS = ("name", "kind", "schedule", "readers", "workspaces", "rights", "max_age", "weight", "weights", "exclude")

EXCLUDE = "exclude"
"""The key that leaves documents out of any source. A kind with an option of this name handles it itself (website)."""


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One kind of source: a dataclass of its keys, and the function that builds a source from them."""

    options: type[Any]
    build: Callable[[SourceContext, Any], Source]
    """Builds a source without reading a document or opening a connection; raises ``SourceMisconfigured``."""
    list_addresses: Callable[[SourceContext, Any], Sequence[str]] | None = None
    """Returns all that a source may connect to: URLs, or ``host:port``, ``*`` for any. None says that this is unknown.

    Raises ``SourceMisconfigured``, and connects to nothing.
    """


ANY_ADDRESS = "*:*"  # of a kind that does not say what it connects to


KINDS: Mapping[str, str] = {
    "confluence": "knowledge.sources.confluence.source",
    "drive": "knowledge.sources.drive.source",
    "feed": "knowledge.sources.feed.source",
    "folder": "knowledge.sources.folder.source",
    "git": "knowledge.sources.git.source",
    "notion": "knowledge.sources.notion.source",
    "objects": "knowledge.sources.object_store.source",
    "pages": "knowledge.sources.pages.source",
    "push": "knowledge.sources.uploads.source",
    "sql": "knowledge.sources.sql.source",
    "website": "knowledge.sources.website.source",
}
"""The module of each kind; its ``KIND`` is a ``SourceKind``. It is imported when a source of the kind is configured."""


ENTRY_POINT_GROUP = "kvasir.sources"
"""The entry-point group in which other distributions register a ``SourceKind``; ours cannot be replaced."""


def build_source(
    spec: SourceSpec,
    state: Path,
    memory: Callable[[SourceKey], Memory],
    others: Mapping[str, SourceKind] | None = None,
    web: WebSettings | None = None,
    content: SharedContent | None = None,
) -> Source:
    """Build the source that a table describes, without reading a document or opening a connection.

    ``state`` is the folder below which sources keep files of their own, and ``content`` what they share with other
    hosts. ``others`` are further kinds by name. ``web`` holds proxies, ports and certificates.

    Raises:
        SourceMisconfigured: the kind or a key is unknown, missing or of the wrong type.

    """
    kind = (others or {}).get(spec.kind) or _find_kind(spec, others or {})
    options, patterns = _separate_patterns(kind, spec)
    context = replace(_make_context(spec, state, memory, web or WebSettings()), content=content)
    return narrow_source(kind.build(context, options), patterns, spec.rights)


def list_addresses(spec: SourceSpec, web: WebSettings) -> Sequence[str]:
    """Return all that a source of the registry may connect to, as ``SourceKind.list_addresses`` says.

    Raises:
        SourceMisconfigured: the kind or a key is unknown, missing or of the wrong type.

    """
    kind = _find_kind(spec, ())
    if kind.list_addresses is None:
        return (ANY_ADDRESS,)
    options, _ = _separate_patterns(kind, spec)
    return kind.list_addresses(_make_context(spec, spec.base_dir, refuse_memory, web), options)


def _separate_patterns(kind: SourceKind, spec: SourceSpec) -> tuple[Any, tuple[str, ...]]:
    """Return the kind's own options, and the patterns of ``exclude`` if the kind does not handle them itself."""
    if EXCLUDE not in spec.options or EXCLUDE in {field.name for field in fields(kind.options)}:
        return read_options(kind.options, spec), ()
    patterns = _convert_value(spec.options[EXCLUDE], tuple[str, ...], f"{spec.name}: {EXCLUDE}")
    own = replace(spec, options={key: value for key, value in spec.options.items() if key != EXCLUDE})
    return read_options(kind.options, own), cast("tuple[str, ...]", patterns)


def _make_context(
    spec: SourceSpec, state: Path, memory: Callable[[SourceKey], Memory], web: WebSettings
) -> SourceContext:
    return SourceContext(
        name=spec.name,
        base_dir=spec.base_dir,
        state_dir=state / source_folder_name(spec.name),
        memory=memory,
        readers=spec.readers,
        secrets=spec.secrets,
        web=web,
    )


def refuse_memory(key: SourceKey) -> Memory:
    """Refuse to remember anything, for a source that is not synced."""
    raise NotImplementedError(f"nothing is stored for {key.name} outside a sync")


def _find_kind(spec: SourceSpec, others: Collection[str]) -> SourceKind:
    if spec.kind in KINDS:
        kind: SourceKind = importlib.import_module(KINDS[spec.kind]).KIND
        return kind
    installed = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if spec.kind in installed:
        return _load_installed_kind(spec, installed[spec.kind])
    kinds = {*KINDS, *others, *installed}
    raise SourceMisconfigured(
        f"Source {spec.name}: there is no kind “{spec.kind}”.{suggest_nearest(spec.kind, kinds)} "
        f"Kinds are: {', '.join(sorted(kinds))}."
    )


def _load_installed_kind(spec: SourceSpec, point: EntryPoint) -> SourceKind:
    """Load a kind from another distribution; any error inside it becomes ``SourceMisconfigured``."""
    try:
        kind = point.load()
    except Exception as error:
        raise SourceMisconfigured(
            f"Source {spec.name}: the kind “{spec.kind}” of {point.value} cannot be loaded "
            f"({type(error).__name__}). Correct that package, or install what it needs."
        ) from error
    if not isinstance(kind, SourceKind):
        raise SourceMisconfigured(
            f"Source {spec.name}: {point.value} is not a SourceKind. Name the package's KIND in its entry point."
        )
    return kind


def source_folder_name(source: str) -> str:
    """Return a folder name for a source's name; different sources get different folders."""
    return re.sub(r"[^\w-]", lambda letter: f"%{ord(letter[0]):x}", source)


def read_options(options: type[_Options], spec: SourceSpec) -> _Options:
    """Return the dataclass ``options`` filled from the keys of a table.

    Raises:
        SourceMisconfigured: a key is unknown, missing, or of the wrong type.

    """
    valid: dict[str, Field[Any]] = {field.name: field for field in fields(options)}  # type: ignore[arg-type]
    for key in spec.options:
        if key not in valid:
            raise SourceMisconfigured(
                f"Source {spec.name}: a {spec.kind} has no key “{key}”.{suggest_nearest(key, [*valid, *COMMON_KEYS])} "
                f"Its keys are: {', '.join([*valid, *COMMON_KEYS])}."
            )
    for name, field in valid.items():
        if name not in spec.options and field.default is MISSING and field.default_factory is MISSING:
            raise SourceMisconfigured(f"Source {spec.name}: a {spec.kind} needs the key “{name}”. Add it.")
    hints = get_type_hints(options)
    return options(
        **{key: _convert_value(value, hints[key], f"{spec.name}: {key}") for key, value in spec.options.items()}
    )


def _convert_value(value: object, hint: Any, where: str) -> object:  # noqa: ANN401 - any annotation
    """Return the value converted to the type of its field."""
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
