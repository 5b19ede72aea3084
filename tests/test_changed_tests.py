"""``make check`` runs the tests that a change can reach, and those that read files of the repository."""

from __future__ import annotations

import pytest

from tests.changed_tests import choose_tests
from tests.import_graph import ROOT

pytestmark = pytest.mark.slow

READER = "tests/deploy/test_documentation.py"
BUTTON = "bot/slack/features/feedback/rate_answer.py"


def test_a_module_reaches_the_tests_that_import_it_through_others() -> None:
    chosen = choose_tests([BUTTON])
    assert "tests/slack/features/feedback/test_feedback.py" in chosen
    assert "tests/engine/client/test_client.py" not in chosen
    assert READER in chosen


def test_a_helper_of_tests_reaches_its_users() -> None:
    chosen = choose_tests(["tests/engine/fakes.py"])
    assert "tests/engine/client/test_client.py" in chosen
    assert "tests/chunking/test_chunking.py" not in chosen


def test_data_reach_the_tests_of_the_modules_next_to_them() -> None:
    assert "tests/engine/planning/test_fit.py" in choose_tests(["engine/planning/vision_models.toml"])


def test_a_page_reaches_only_tests_that_read_files() -> None:
    chosen = choose_tests(["docs/using.md"])
    assert READER in chosen
    assert 0 < len(chosen) < len(choose_tests([BUTTON]))


def test_the_project_reaches_every_test() -> None:
    every = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    assert choose_tests(["pyproject.toml"]) == sorted(every)
