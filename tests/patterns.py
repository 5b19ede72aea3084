"""Finds the regular expressions of the product, and makes texts that are hard for them."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]
from typing import Any

ROOT = Path(__file__).parents[1]
_PACKAGES = ("bot", "engine", "knowledge")
_ELSEWHERE = (
    "engine.plain_cpu",
    "engine.weights.convert_gguf",
    "knowledge.database.environment.env",
    "knowledge.ray_cluster.connection",
    "bot.__main__",
)
"""Modules that only the environment of the engine or of Ray, Alembic or the interpreter can import."""
_ONE_USE = ("match", "search", "fullmatch")
_ALL_USES = ("finditer", "findall", "sub", "subn", "split")
_REPRESENTATIVES = "aA0z9_ -.\n\t/(:*|`[<\"'#中一，é,@\\]>)}{=;&+%!?~$^\x00\u0301１"
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
_MANY = 20
"""From this maximum on, a repetition counts as unlimited."""

Tree = Any
"""A parsed expression: a sequence of pairs of an operation and its arguments."""


@dataclass
class FoundPattern:
    """A regular expression, where it is, and how it is used."""

    pattern: re.Pattern[Any]
    places: set[str] = field(default_factory=set)
    """``module.NAME``, or ``module:LINE`` for one without a name."""
    uses: set[str] = field(default_factory=set)


@cache
def find_patterns() -> list[FoundPattern]:
    """Return every expression that a module compiles or uses, if its text is known after the import."""
    found: dict[tuple[Any, int], FoundPattern] = {}
    for path in sorted(path for package in _PACKAGES for path in (ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if not name.startswith(_ELSEWHERE):
            for pattern, place, uses in _find_in_module(name, path.read_text(encoding="utf-8")):
                one = found.setdefault((pattern.pattern, pattern.flags), FoundPattern(pattern))
                one.places.add(place)
                one.uses |= uses
    return list(found.values())


def _find_in_module(name: str, source: str) -> Iterator[tuple[re.Pattern[Any], str, set[str]]]:
    module, tree = importlib.import_module(name), ast.parse(source)
    for variable, value in vars(module).items():
        owned = vars(value) if isinstance(value, type) and value.__module__ == name else {variable: value}
        for key, one in owned.items():
            for pattern in _collect_patterns(one):
                yield (
                    pattern,
                    f"{name}.{key}",
                    set(re.findall(rf"\b{key}\b(?:\[[^]\n]*\])?\.(\w+)", source)) & {*_ONE_USE, *_ALL_USES},
                )
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func).removeprefix("re.") in {*_ONE_USE, *_ALL_USES}:
            if not ast.unparse(call.func).startswith("re."):
                continue
            try:
                expression = eval(ast.unparse(call.args[0]), vars(module))
            except NameError:
                continue  # it is made of what a function gets
            flags = next((k.value for k in call.keywords if k.arg == "flags"), None)
            flags = eval(ast.unparse(flags), vars(module)) if flags is not None else 0
            yield re.compile(expression, flags), f"{name}:{call.lineno}", {ast.unparse(call.func).removeprefix("re.")}


def _collect_patterns(value: object, depth: int = 0) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth < 4 and isinstance(value, (tuple, list, set, frozenset, dict)):
        for one in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from _collect_patterns(one, depth + 1)
    elif depth < 4 and is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            yield from _collect_patterns(getattr(value, one.name), depth + 1)


# ── Texts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Attacks:
    """Makes texts for one expression: what leads to a repetition, many repetitions, and an end that does not fit."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        self._bytes = isinstance(pattern.pattern, bytes)
        self._tree: Tree = _parser.parse(pattern.pattern, pattern.flags)
        self._pairs: set[tuple[str, str]] = set()
        self._walk(self._tree, [""])
        for whole in self._samples(self._tree):
            self._pairs |= {("", whole[:end]) for end in (1, 2, 3, len(whole) // 2, len(whole) - 1, len(whole))}
        for prefix, repeated in list(self._pairs):
            self._pairs |= {("", prefix), ("", prefix + repeated)}

    def make_texts(self, length: int) -> Iterator[str | bytes]:
        """Yield texts of about so many characters."""
        for prefix, repeated in sorted(self._pairs):
            if repeated:
                text = prefix + (repeated * (length // len(repeated) + 1))[:length] + "\x00a!"
                yield text.encode("latin-1", "replace") if self._bytes else text

    def _walk(self, tree: Tree, prefixes: Sequence[str]) -> None:
        for operation, arguments in tree:
            if operation in _REPEATS and arguments[1] >= _MANY:
                body = arguments[2]
                single = len(body) == 1 and body[0][0] in {_constants.IN, _constants.ANY, _constants.NOT_LITERAL}
                repeated = self._characters(*body[0]) if single else self._samples(body)
                self._pairs |= {(prefix, one) for prefix in prefixes[:3] for one in repeated[:12]}
            for inner in _list_inner_trees(operation, arguments):
                self._walk(inner, prefixes)
            prefixes = list(dict.fromkeys(p + s for p in prefixes for s in self._match(operation, arguments)))[:4]

    def _samples(self, tree: Tree) -> list[str]:
        """Return a few texts that match a sequence."""
        texts = [""]
        for operation, arguments in tree:
            texts = [text + one for text in texts for one in self._match(operation, arguments)][:6]
        return texts

    def _match(self, operation: Any, arguments: Any) -> list[str]:
        if operation is _constants.LITERAL:
            return [chr(arguments)]
        if operation in {_constants.NOT_LITERAL, _constants.ANY, _constants.IN}:
            return self._characters(operation, arguments)[:6]
        if operation is _constants.BRANCH:
            return [text for branch in arguments[1] for text in self._samples(branch)[:2]][:12]
        if operation in _REPEATS:
            repeated = [text * max(arguments[0], 1) for text in self._samples(arguments[2])]
            return repeated if arguments[0] else [*repeated[:5], ""]
        if operation in {_constants.SUBPATTERN, _constants.ATOMIC_GROUP}:
            return self._samples(arguments if operation is _constants.ATOMIC_GROUP else arguments[-1])
        return [""]

    def _characters(self, operation: Any, arguments: Any) -> list[str]:
        """Return characters that match one place: common ones, and those that a set names."""
        one = _compiler.compile(_parser.SubPattern(self._tree.state, [(operation, arguments)]), self._tree.state.flags)
        named = (
            [chr(v if o is _constants.LITERAL else v[0]) for o, v in arguments if o in _NAMED]
            if operation is _constants.IN
            else []
        )
        encode = (lambda text: text.encode("latin-1", "replace")) if self._bytes else str
        return [c for c in dict.fromkeys([*_REPRESENTATIVES, *named]) if one.fullmatch(encode(c))] or ["a"]


_NAMED = (_constants.LITERAL, _constants.RANGE)


def _list_inner_trees(operation: Any, arguments: Any) -> Sequence[Tree]:
    if operation in _REPEATS:
        return [arguments[2]]
    if operation is _constants.BRANCH:
        return list(arguments[1])
    if operation in {_constants.SUBPATTERN, _constants.ASSERT, _constants.ASSERT_NOT}:
        return [arguments[-1]]
    return [arguments] if operation is _constants.ATOMIC_GROUP else []
