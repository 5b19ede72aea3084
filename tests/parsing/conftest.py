"""Documents that several tests of parsing share."""

from __future__ import annotations

import pytest

from tests.parsing.makers import pdf


@pytest.fixture(scope="session")
def make_pdf_with_password() -> bytes:
    return pdf([["x"]], password="geheim")
