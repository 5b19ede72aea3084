"""Order passages by a reranker behind HTTP. If it is slow or fails, they keep their order."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from knowledge.search.ranking.fusion import ScoredCandidate
from knowledge.settings import RerankerSettings
from knowledge.web.http.json_server import JsonServer, ServerFailure
from knowledge.web.searching.circuit_breaker import CircuitBreaker

_MOST: Final = 32
"""The best passages that are sent; 32 is the default limit of TEI."""
LIMIT_S: Final = 0.3
CHECK_S: Final = 10.0

_log = logging.getLogger(__name__)


class HttpReranker:
    """A ``Reranker`` over ``/v1/rerank`` of vLLM and SGLang, or ``/rerank`` of TEI.

    After three failures in a row it is not asked for half a minute, then tried again.
    """

    def __init__(
        self, settings: RerankerSettings, *, limit_s: float = LIMIT_S, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._server = JsonServer(settings.address)
        self._limit_s = limit_s
        self._breaker = CircuitBreaker(now)

    async def rerank(self, question: str, ranked: Sequence[ScoredCandidate], /) -> Sequence[ScoredCandidate]:
        """Return the candidates, the best of them in the order of the reranker.

        Scores stay with their places, because search compares them with those of web pages.
        """
        head = ranked[:_MOST]
        if len(head) < 2 or not self._breaker.acquire():  # noqa: PLR2004 - one has no order
            return ranked
        try:
            order = await self.order_texts(question, [one.candidate.chunk.searchable_text for one in head])
        except ServerFailure as error:
            self._breaker.record_failure()
            _log.warning("The order of passages stays, because the reranker %s", error)
            return ranked
        except BaseException:
            self._breaker.release()
            raise
        self._breaker.record_success()
        reordered = [ScoredCandidate(head[place].candidate, one.score) for place, one in zip(order, head, strict=True)]
        return (*reordered, *ranked[_MOST:])

    async def order_texts(self, question: str, texts: Sequence[str]) -> list[int]:
        """Return the places of the texts, the best one first. Those without a score come last.

        Raises:
            ServerFailure: the server failed, or did not answer in time.

        """
        # vLLM and SGLang read "documents", TEI reads "texts".
        documents = [text.encode("utf-8", "replace").decode() for text in texts]
        query = question.encode("utf-8", "replace").decode()
        body = {"model": self._settings.model, "query": query, "documents": documents, "texts": documents}
        try:
            reply = await self._server.post("", body | {"truncate": True}, within_s=self._limit_s)
            scores = parse_scores(reply, len(texts))
        except ServerFailure as error:
            raise ServerFailure(f"at {self._settings.address.host} {error}") from None
        return sorted(range(len(texts)), key=lambda place: (-scores.get(place, -math.inf), place))

    async def close(self) -> None:
        """Close the connections. It is safe to call twice."""
        await self._server.close()


def parse_scores(reply: bytes, texts: int) -> dict[int, float]:
    """Return the scores by the places of the texts.

    Raises:
        ServerFailure: the reply is in neither form.

    """
    try:
        value = json.loads(reply)
        items = value["results"] if isinstance(value, dict) else value
        scores = {
            int(item["index"]): float(item["relevance_score"] if "relevance_score" in item else item["score"])
            for item in items
        }
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
        raise ServerFailure("answers with something other than scores") from None
    if not scores or not scores.keys() <= set(range(texts)) or not all(map(math.isfinite, scores.values())):
        raise ServerFailure("answers with scores that cannot be used")
    return scores
