"""What a client of the API reads about errors."""

from __future__ import annotations

import errno

import pytest

from bot.api.errors import translate_error


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file", "/srv/board/closing.md"),
        KeyError("closing"),
        ValueError("closing"),
    ],
)
def test_a_bug_names_neither_a_file_nor_a_value(error: Exception) -> None:
    text = str(translate_error(error).build_body())
    assert type(error).__name__ in text
    assert "closing" not in text
