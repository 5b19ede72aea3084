"""Each test runs in exactly one command of the Makefile, and each promise is proven by one that ran."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
from _pytest.mark.expression import Expression

from tests.import_graph import ROOT
from tests.proofs import ALLOWED_SKIPS, Phase, check_results, is_at, read_promises
from tests.tiers import COLLECTED, LONG_PLACES, SERVER_PLACES, require_servers, spread_tests

PROMISES = {"A right counts.": "tests/a.py::test_right", "A file ends.": "tests/b.py"}


def list_selections(target: str) -> Iterator[tuple[Expression, list[str]]]:
    """Return the expression of marks and the folders of each run of pytest in a target of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    assert recipe, target
    for run in re.findall(r"\$\(PYTEST\)([^;&\n]*)", recipe[1]):
        words = shlex.split(run)
        yield Expression.compile(words[words.index("-m") + 1]), [word for word in words if word.startswith("tests")]


def test_each_test_runs_once(request: pytest.FixtureRequest) -> None:
    """All tests of this run's folders are compared, also those that its own expression leaves out."""
    selections = [*list_selections("test"), *list_selections("test-servers")]
    assert len(selections) > 3
    collected = request.config.stash[COLLECTED]
    assert request.node in collected
    wrong = []
    for item in collected:
        marks = {mark.name for mark in item.iter_markers()}
        runs = [
            expression
            for expression, folders in selections
            if expression.evaluate(lambda name, marks=marks, **_: name in marks)  # type: ignore[misc]
            and any(item.nodeid.startswith(folder) for folder in folders)
        ]
        if len(runs) != 1:
            wrong.append(f"{item.nodeid} runs {len(runs)} times")
    assert wrong == []


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_spread_tests_are_the_same_tests(request: pytest.FixtureRequest, workers: int) -> None:
    collected = request.config.stash[COLLECTED]
    spread = spread_tests(collected, workers)
    assert len(spread) == len(collected)
    assert set(spread) == set(collected)


def test_the_first_tier_starts_no_server() -> None:
    with pytest.raises(RuntimeError, match=r"test_the_first_tier_starts_no_server starts Weaviate: mark it `servers`"):
        require_servers("Weaviate")


def test_each_place_and_each_promise_exists() -> None:
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    for place in [*LONG_PLACES, *SERVER_PLACES, *ALLOWED_SKIPS]:
        path, _, name = place.partition("::")
        found = [one for one in files if one.startswith(path)]
        assert found, place
        assert not name or f"def {name}" in (ROOT / found[0]).read_text(encoding="utf-8"), place
    assert len(read_promises()) > 20


def test_a_promise_needs_a_test_that_passed() -> None:
    right, other = "tests/a.py::test_right[lancedb]", "tests/b.py::test_end"
    passed = [Phase(right, "call", "passed", 1.0), Phase(other, "call", "passed", 2.0)]
    assert check_results(passed, PROMISES).faults == []
    assert check_results(passed, PROMISES).slowest == [(2.0, other), (1.0, right)]
    [fault] = check_results(passed[:1], PROMISES).faults
    assert fault == "no run proved 'A file ends.' (tests/b.py)"
    skipped = [passed[0], Phase(other, "call", "skipped", 0.0, "no namespaces")]
    [first, second] = check_results(skipped, PROMISES).faults
    assert "tests/b.py::test_end was skipped (no namespaces)" in first
    assert second == fault


def test_a_run_that_failed_first_is_listed() -> None:
    phases = [Phase("tests/c.py::test", "call", "rerun", 1.0), Phase("tests/c.py::test", "call", "passed", 1.0)]
    assert check_results(phases, {}).reruns == ["tests/c.py::test"]


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("tests/a.py::test_right", True),
        ("tests/a.py::test_right[x]", True),
        ("tests/a.py::test_right_now", False),
        ("tests/a.py::test", False),
    ],
)
def test_a_promise_names_a_whole_test(test: str, *, expected: bool) -> None:
    assert is_at(test, "tests/a.py::test_right") is expected
