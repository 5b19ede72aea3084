"""An engine whose option scores are saved in a file, so that an interrupted measurement can continue."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.interfaces import ANONYMOUS, ChatMessage, EngineStatus, OptionScorer, Requester


class RecordedEngine:
    """An ``OptionScorer`` that queries another one only for what its file does not contain."""

    def __init__(self, engine: OptionScorer, file: Path) -> None:
        """Load the file, if there is one."""
        self._engine = engine
        self._file = file
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        self._rows_by_key: dict[str, dict[str, Any]] = {row["key"]: row for row in map(json.loads, lines)}
        self._last = ""
        self.rows: list[dict[str, Any]] = []
        """The requests in order; ``warm``: whether the previous prompt had the same beginning."""

    def status(self) -> EngineStatus:
        """Return the other engine's state."""
        return self._engine.status()

    async def score_options(
        self,
        messages: Sequence[ChatMessage],
        options: Sequence[str],
        *,
        request_id: str,
        timeout_s: float,
        requester: Requester = ANONYMOUS,
    ) -> tuple[float, ...]:
        """Return the probability of each option, from the file or from the other engine.

        Raises:
            RuntimeError: the engine failed. A checker would continue without a judge, and the figures would be wrong.

        """
        request = [self.status().model, *((message.role, message.content) for message in messages), *options]
        key = hashlib.sha256(json.dumps(request).encode()).hexdigest()[:24]
        if key not in self._rows_by_key:
            began_s, beginning = time.monotonic(), messages[-1].content.rpartition("</passage>")[0]
            try:
                shares = await self._engine.score_options(
                    messages, options, request_id=request_id, timeout_s=timeout_s, requester=requester
                )
            except EngineError as error:
                raise RuntimeError(f"The engine did not judge: {error}") from error
            row = {"key": key, "shares": shares, "seconds": time.monotonic() - began_s, "warm": beginning == self._last}
            self._last = beginning
            self._rows_by_key[key] = row
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        self.rows.append(self._rows_by_key[key])
        return tuple(self._rows_by_key[key]["shares"])
