"""What Weaviate's refusals mean for a person; its own texts may quote rows, so none of them reaches ours."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

import grpc  # type: ignore[import-untyped]

from knowledge.errors import StoreError, StoreMisconfigured, StoreReadOnly, StoreUnavailable
from knowledge.stores.weaviate.address import NodeAddress

with warnings.catch_warnings():  # importing the client sets the process's filters to "default"
    from weaviate.exceptions import (
        InsufficientPermissionsError,
        UnexpectedStatusCodeError,
        WeaviateBaseError,
        WeaviateConnectionError,
        WeaviateGRPCUnavailableError,
        WeaviateRetryError,
        WeaviateStartUpError,
        WeaviateTimeoutError,
    )

_UNREACHABLE = (
    WeaviateConnectionError,
    WeaviateGRPCUnavailableError,
    WeaviateRetryError,
    WeaviateStartUpError,
    WeaviateTimeoutError,
)
_NO_WRITES = ("read-only", "read only", "readonly", "forbidden", "no space left")
_CLUSTER_UNWELL = (
    "leader not found",
    "not leader",
    "replicas",
    "enough weaviate nodes",
    "consistency level",
    "unavailable",
    "deadline exceeded",
    "connection refused",
    "connection reset",
    "broken pipe",
    "no such host",
    "store not open",
    "shutting down",
    "shutdown",
    "context canceled",
)
"""What a node says of itself or of the others, and what another node, or a while later, may well answer."""

_LACKING = re.compile(
    r"insufficient permissions to (?P<right>\w+) \[+Domain: \w+(?:, Collection: (?P<collection>[\w*]+))?"
)


def says_read_only(text: str) -> bool:
    """Whether a message of the server says that it takes no writes, or none with this key."""
    return _contains_any(text, _NO_WRITES)


def says_unwell(text: str) -> bool:
    """Whether a message says that the cluster cannot do it now: no leader, too few copies, a node that is leaving."""
    return _contains_any(text, _CLUSTER_UNWELL)


def says_gone(text: str) -> bool:
    """Whether a message says that the collection, or our tenant in it, is not there."""
    return _contains_any(text, ("could not find class", "tenant not found", "tenant not active", "class not found"))


def find_missing_right(text: str) -> str | None:
    """Return the right that a key lacks, as Weaviate's roles name it, None where the message names none."""
    found = _LACKING.search(text)
    if found is None:
        return None
    return f"{found['right']} on {found['collection']}" if found["collection"] else found["right"]


def _contains_any(text: str, marks: Sequence[str]) -> bool:
    lowered = text.lower()
    return any(mark in lowered for mark in marks)


class NodeDown(StoreUnavailable):
    """Nothing listens there; to ask again at once is of no use."""


class IndexGone(StoreError):
    """The collection is not there, says one node; one that has just started does not know it yet."""


@dataclass(frozen=True, slots=True)
class WeaviateErrors:
    """Our errors about one server or one cluster, each with the next step."""

    nodes: tuple[NodeAddress, ...]

    def late(self, seconds: float) -> str:
        """Return the text of a ``StoreUnavailable`` after a deadline."""
        return (
            f"Weaviate at {self._where()} did not answer within {seconds:g} s: see whether it runs "
            "and is ready, and that WEAVIATE_URL and WEAVIATE_GRPC_URL are right."
        )

    def unreachable(self) -> NodeDown:
        """Say that nothing listens."""
        return NodeDown(
            f"Nothing answers for Weaviate at {self._where()}: start it, or correct WEAVIATE_URL and WEAVIATE_GRPC_URL."
        )

    def unwell(self) -> StoreUnavailable:
        """Say that a node answers, but the cluster cannot do it."""
        return StoreUnavailable(
            f"Weaviate at {self._http()} answers, but too few of its nodes do their work: start those that are down "
            "(or ask for fewer copies in WEAVIATE_REPLICAS), then try again."
        )

    def wrong_key(self) -> StoreMisconfigured:
        """Say that the key is missing or unknown."""
        return StoreMisconfigured(
            f"Weaviate at {self._http()} refused the key: set WEAVIATE_API_KEY to one that it knows, then start "
            "Kvasir again."
        )

    def forbidden(self, right: str) -> StoreError:
        """Name the right that the key lacks; without one to read, nothing can be answered."""
        kind = StoreMisconfigured if right.startswith("read_") else StoreReadOnly
        return kind(
            f"The key in WEAVIATE_API_KEY lacks the right {right}: add it to the key's role at Weaviate "
            "(docs/security.md lists all that Kvasir needs), then try again."
        )

    def read_only(self) -> StoreReadOnly:
        """Say that a shard or a key takes no writes."""
        return StoreReadOnly(
            f"Weaviate at {self._http()} takes no writes from us: see whether its disk is nearly full (it turns "
            "read-only) and that WEAVIATE_API_KEY may write, then run `kvasir sync` again."
        )

    def refused(self, count: int) -> StoreError:
        """Say that some rows of a batch were not taken."""
        return StoreError(
            f"Weaviate at {self._http()} refused {count} passages: look into its log, then run `kvasir sync` again."
        )

    def gone(self) -> IndexGone:
        """Say that the collection, or our tenant in it, was deleted under us."""
        return IndexGone(
            f"The index in Weaviate at {self._http()} is gone: start Kvasir again, then run `kvasir sync`."
        )

    def other(self, kind: str) -> StoreError:
        """Name anything else by the class of the client's error."""
        return StoreError(f"Weaviate at {self._http()} failed ({kind}): look into its log, then try again.")

    def of(self, error: WeaviateBaseError | grpc.aio.AioRpcError, late: str) -> StoreError:
        """Return ours for what the client or a search raised; ``late`` is the text for a deadline of the client's."""
        if isinstance(error, grpc.aio.AioRpcError):
            return self._of_search(error.code(), error.details() or "")
        text = str(error)
        if isinstance(error, _UNREACHABLE):
            return self.unreachable()
        if "Deadline Exceeded" in text or "UNAVAILABLE" in text:
            return StoreUnavailable(late)
        if _says_unknown_key(error):
            return self.wrong_key()
        if isinstance(error, InsufficientPermissionsError) and find_missing_right(text) is None:
            return self.read_only()
        return self._as_said([text]) or self.other(type(error).__name__)

    def _of_search(self, code: grpc.StatusCode, details: str) -> StoreError:
        if code is grpc.StatusCode.UNAVAILABLE:
            return self.unreachable()
        if code is grpc.StatusCode.UNAUTHENTICATED:
            return self.wrong_key()
        return self._as_said([details]) or self.other(f"gRPC {code.name}")

    def of_rows(self, count: int, messages: Sequence[str]) -> StoreError:
        """Judge a batch by what the server said of its rows; ``count`` of them were not taken."""
        return self._as_said(messages) or self.refused(count)

    def _as_said(self, messages: Sequence[str]) -> StoreError | None:
        if right := next(filter(None, map(find_missing_right, messages)), None):
            return self.forbidden(right)
        if any(map(says_read_only, messages)):
            return self.read_only()
        if any(map(says_gone, messages)):
            return self.gone()
        return self.unwell() if any(map(says_unwell, messages)) else None

    def _where(self) -> str:
        return " or ".join(map(str, self.nodes))

    def _http(self) -> str:
        return " or ".join(str(node.http) for node in self.nodes)


def _says_unknown_key(error: WeaviateBaseError) -> bool:
    refused = isinstance(error, UnexpectedStatusCodeError) and error.status_code == HTTPStatus.UNAUTHORIZED
    return refused or "unauthenticated" in str(error).lower()
