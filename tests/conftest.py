"""What holds for every test: a property is checked by what it finds, never by how long a busy machine takes."""

from __future__ import annotations

import gc

from hypothesis import settings

settings.register_profile("kvasir", deadline=None, print_blob=True)
settings.load_profile("kvasir")


def pytest_collection_finish() -> None:
    """Leave what thousands of tests and their libraries are made of out of every later garbage collection."""
    gc.freeze()
