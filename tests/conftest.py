"""What holds for every test: a property is checked by what it finds, never by how long a busy machine takes."""

from __future__ import annotations

import gc
import signal

from hypothesis import settings

# By --hypothesis-profile: `make check` looks at few examples, `make test` at the same 100 each time, and whoever has
# time at many. What luck finds is found there, and stops no change that has nothing to do with it.
settings.register_profile("kvasir", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("check", settings.get_profile("kvasir"), max_examples=20, derandomize=False)
settings.register_profile("long", settings.get_profile("kvasir"), max_examples=2000, derandomize=False)
settings.load_profile("kvasir")


def pytest_configure() -> None:
    """Have Ctrl-C mean something to what tests start: a shell's background job ignores it, and so do its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Leave what thousands of tests and their libraries are made of out of every later garbage collection."""
    gc.freeze()
