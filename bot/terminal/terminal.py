"""Show progress to a person: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from knowledge.control_characters import strip_control_characters

_STEP = 0.1
"""Without a terminal, a line is printed after each further tenth."""


class Terminal:
    """Named bars, each with a share and a line of detail. Use it from one event loop."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._bars: dict[str, TaskID] = {}
        self._printed: dict[str, tuple[str, float]] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def print_line(self, line: str = "") -> None:
        """Print a line above the bars."""
        self._console.print(strip_control_characters(line), markup=False)

    def show_progress(self, name: str, share: float | None, detail: str) -> None:
        """Show that ``name`` is at ``share`` (0 to 1, None: unknown) and what it is doing."""
        if self._console.is_terminal:
            self._draw_bar(name, share, detail)
        elif self._is_news(name, share, detail):
            percent = f" {share:4.0%}" if share is not None else ""
            self.print_line(f"{name}:{percent} {detail}")

    def finish_bar(self, name: str, line: str) -> None:
        """Replace the bar of ``name`` by a line."""
        bar = self._bars.pop(name, None)
        if bar is not None:
            self._progress.remove_task(bar)
        self._printed.pop(name, None)
        self.print_line(f"{name}: {line}")

    def _draw_bar(self, name: str, share: float | None, detail: str) -> None:
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, total=None, detail=strip_control_characters(detail))
        self._progress.update(
            self._bars[name],
            total=None if share is None else 1.0,
            completed=share or 0.0,
            detail=strip_control_characters(detail),
        )

    def _is_news(self, name: str, share: float | None, detail: str) -> bool:
        kind = detail.partition(" ")[0]
        before = self._printed.get(name)
        if before is not None and before[0] == kind and (share or 0.0) < before[1] + _STEP:
            return False
        self._printed[name] = (kind, share or 0.0)
        return True
