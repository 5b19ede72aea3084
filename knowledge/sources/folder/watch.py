"""Watches a folder for changes, in a thread of its own because the library blocks."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterator

from knowledge.errors import SourceError

_CALM_MS = 200
"""A burst of changes ends when nothing has changed for this long."""
_BURST_MS = 1_000
"""A burst of changes ends at the latest this long after its first change."""
_LOOK_MS = 2_000


async def watch_folder(root: str, matters: Callable[[str], bool]) -> AsyncGenerator[None]:
    """Yield after each burst that changes a path for which ``matters`` is true.

    Changes between two calls count at the next call.

    Raises:
        SourceError: the folder cannot be watched: it is gone, or the system's limit is reached.

    """
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    failures: list[str] = []
    stop = threading.Event()

    def report_change(why: str | None) -> None:
        if why is not None:
            failures.append(why)
        woken.set()

    def watch_changes() -> None:
        why: str | None = "it is watched no more"
        try:
            for burst in _iterate_bursts(root, stop):
                if any(matters(path) for _, path in burst):
                    loop.call_soon_threadsafe(report_change, None)
        except (OSError, RuntimeError) as error:
            why = _explain_failure(error)
        if not stop.is_set():
            loop.call_soon_threadsafe(report_change, why)

    # A daemon: a hanging file system must not keep the process alive.
    threading.Thread(target=watch_changes, name="kvasir-watch", daemon=True).start()
    try:
        while True:
            await woken.wait()
            woken.clear()
            if failures:
                raise SourceError(
                    f"The folder {root} cannot be watched: {failures[0]}. The scheduled sync finds its changes instead."
                )
            yield
    finally:
        stop.set()


def _iterate_bursts(root: str, stop: threading.Event) -> Iterator[set[tuple[int, str]]]:
    """Yield the changes of each burst; raise ``RuntimeError`` when another folder has taken the root's place."""
    from watchfiles import watch  # noqa: PLC0415 - slow to load, and only a running bot needs it

    watched = os.stat(root)  # noqa: PTH116 - as the walk does
    for burst in watch(
        root,
        watch_filter=None,
        debounce=_BURST_MS,
        step=_CALM_MS,
        stop_event=stop,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
        ignore_permission_denied=True,
    ):
        if burst:
            yield {(int(change), path) for change, path in burst}
        if not os.path.samestat(os.stat(root), watched):  # noqa: PTH116 - as the walk does
            raise RuntimeError("it was moved, unmounted or recreated")


def _explain_failure(error: OSError | RuntimeError) -> str:
    text = str(error)
    if "limit reached" in text or "No space left" in text or "Too many open files" in text:
        return "the system watches no more folders (raise fs.inotify.max_user_watches and max_user_instances)"
    if isinstance(error, FileNotFoundError) or "No such file" in text:
        return "it is not there"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return text if text.startswith("it was moved") else "the system does not report its changes"
