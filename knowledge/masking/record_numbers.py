"""Check the expressions by which an operator describes record numbers: a text of any length is read in linear time."""

from __future__ import annotations

import re
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any, Final

_MOST_CHARS: Final = 64
_MOST_REPETITIONS: Final = 2
_REPEATS: Final = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
_SINGLE: Final = (_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY)


def compile_record_number(pattern: str) -> re.Pattern[str]:
    r"""Return the expression of a record number, such as ``KH-\d{6}``.

    Raises:
        ValueError: it is no expression, or it could need more than linear time; the text says why.

    """
    try:
        tree = _parser.parse(pattern)
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern!r} is no regular expression ({error})") from None
    least, most = tree.getwidth()
    if not 1 <= least <= most <= _MOST_CHARS:
        raise ValueError(
            f"{pattern!r} should match 1 to {_MOST_CHARS} characters; write {{1,8}} for + and {{0,8}} for *"
        )
    if _count_repetitions(tree) > _MOST_REPETITIONS:
        raise ValueError(
            f"{pattern!r} should repeat single characters alone, and have at most {_MOST_REPETITIONS} {{m,n}}"
        )
    return compiled


def _count_repetitions(tree: Any) -> int:  # noqa: ANN401 - a tree of the standard library
    """Return how many repetitions have no fixed number; one of a group counts as too many."""
    count = 0
    for operation, arguments in tree:
        if operation in _REPEATS:
            least, most, repeated = arguments
            is_single = len(repeated) == 1 and repeated[0][0] in _SINGLE
            if least != most:
                count += 1 if is_single else _MOST_REPETITIONS + 1
            elif not is_single:
                count += least * _count_repetitions(repeated)
        elif operation is _constants.GROUPREF or operation is _constants.GROUPREF_EXISTS:
            count += _MOST_REPETITIONS + 1
        elif operation is _constants.BRANCH:
            count += sum(map(_count_repetitions, arguments[1]))
        elif operation in (_constants.SUBPATTERN, _constants.ASSERT, _constants.ASSERT_NOT):
            count += _count_repetitions(arguments[-1])
    return count
