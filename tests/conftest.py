"""What holds for every test: a property is checked by what it finds, never by how long a busy machine takes."""

from __future__ import annotations

import gc

from hypothesis import settings

# By --hypothesis-profile: `make check` looks at few examples, `make test` at the same 100 each time, and whoever has
# time at many. What luck finds is found there, and stops no change that has nothing to do with it.
settings.register_profile("kvasir", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("check", settings.get_profile("kvasir"), max_examples=20, derandomize=False)
settings.register_profile("long", settings.get_profile("kvasir"), max_examples=2000, derandomize=False)
settings.load_profile("kvasir")


def pytest_collection_finish() -> None:
    """Leave what thousands of tests and their libraries are made of out of every later garbage collection."""
    gc.freeze()
