"""Fixtures of a library over the embedded store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.library.library_bench import Bench
from tests.library.rights_source import Now
from tests.sync.doubles import DictSource, passages


@pytest.fixture
def new_source() -> Callable[[str, str], DictSource]:
    return DictSource


@pytest.fixture
def dict_passages() -> Any:
    return passages


@pytest.fixture
def bench(tmp_path: Path, dict_passages: Any) -> Bench:
    """Give a library over the embedded store, in a folder of the test's own."""
    return Bench(tmp_path, dict_passages)


@pytest.fixture
def handbook(new_source: Any) -> Any:
    """Give a source of two documents and three passages."""
    source = new_source("handbook", "/handbook")
    source.put("holiday.md", "# Holidays\nThirty days of holiday a year.\n\nAsk your manager in time.")
    source.put("expenses.md", "# Expenses\nSend receipts within a month.")
    return source


@pytest.fixture
def now(bench: Bench) -> Now:
    bench.now = now = Now()
    return now
