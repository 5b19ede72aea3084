"""What holds for every test: a property is checked by what it finds, never by how long a busy machine takes."""

from __future__ import annotations

import gc

from hypothesis import settings

# By --hypothesis-profile: `make check` looks at few examples, `make test` at 100, and whoever has time at many.
settings.register_profile("kvasir", deadline=None, print_blob=True)
settings.register_profile("check", settings.get_profile("kvasir"), max_examples=20)
settings.register_profile("long", settings.get_profile("kvasir"), max_examples=2000)
settings.load_profile("kvasir")


def pytest_collection_finish() -> None:
    """Leave what thousands of tests and their libraries are made of out of every later garbage collection."""
    gc.freeze()
