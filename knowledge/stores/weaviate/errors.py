"""Translate Weaviate's errors. Its own texts may quote rows, so ours do not repeat them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

import grpc  # type: ignore[import-untyped]

from knowledge.errors import IndexLost, StoreError, StoreMisconfigured, StoreReadOnly, StoreUnavailable
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
_GONE = ("could not find class", "tenant not found", "tenant not active", "class not found")
"""Texts about a collection, or our tenant in it, that does not exist."""
_INDEX_UPDATE = "updatevectorindexconfigs"
"""Part of the reason of a shard that is read-only for a moment, because another process changes its vector index."""
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
    _INDEX_UPDATE,
)
"""Texts about a node or its peers, such as no leader, after which another node or a later attempt may succeed."""

_LACKING = re.compile(
    r"insufficient permissions to (?P<right>\w+) \[+Domain: \w+(?:, Collection: (?P<collection>[\w*]+))?"
)


def find_missing_right(text: str) -> str | None:
    """Return the permission that a key lacks, by Weaviate's name; None if the message names none."""
    found = _LACKING.search(text)
    if found is None:
        return None
    return f"{found['right']} on {found['collection']}" if found["collection"] else found["right"]


def _contain_any(texts: Sequence[str], marks: Sequence[str]) -> bool:
    return any(mark in text.lower() for text in texts for mark in marks)


class NodeDown(StoreUnavailable):
    """No process listens at the address, so an immediate retry is useless."""


class IndexGone(IndexLost):
    """A node does not know the collection. A node that has just started may learn of it later."""


@dataclass(frozen=True, slots=True)
class WeaviateErrors:
    """Makes our errors about one server or cluster, each with the next step."""

    nodes: tuple[NodeAddress, ...]

    def make_timeout_text(self, seconds: float) -> str:
        """Return the text of a ``StoreUnavailable`` after a deadline."""
        return (
            f"Weaviate at {self._describe_place()} did not answer within {seconds:g} s: check that it runs "
            "and is ready, and that WEAVIATE_URL and WEAVIATE_GRPC_URL are right."
        )

    def make_unreachable(self) -> NodeDown:
        """Return the error for an address where no process listens."""
        return NodeDown(
            f"Nothing answers for Weaviate at {self._describe_place()}: start it, or correct WEAVIATE_URL and "
            "WEAVIATE_GRPC_URL."
        )

    def make_unwell(self) -> StoreUnavailable:
        """Return the error for a cluster that is temporarily unable."""
        return StoreUnavailable(
            f"Weaviate at {self._describe_http()} answers, but too few of its nodes work: start those that are down "
            "(or set fewer copies in WEAVIATE_REPLICAS), then try again."
        )

    def make_wrong_key(self) -> StoreMisconfigured:
        """Return the error for a missing or unknown key."""
        return StoreMisconfigured(
            f"Weaviate at {self._describe_http()} refused the key: set WEAVIATE_API_KEY to a valid key, then start "
            "Kvasir again."
        )

    def make_read_only(self) -> StoreReadOnly:
        """Return the error for a shard or a key that accepts no writes."""
        return StoreReadOnly(
            f"Weaviate at {self._describe_http()} accepts no writes: check whether its disk is nearly full (then it is "
            "read-only) and that WEAVIATE_API_KEY may write, then run `kvasir sync` again."
        )

    def make_gone(self) -> IndexGone:
        """Return the error for a collection, or our tenant in it, that was deleted."""
        return IndexGone(
            f"The index in Weaviate at {self._describe_http()} is gone: the next sync builds it again from the sources."
        )

    def make_other(self, kind: str) -> StoreError:
        """Return the error for any other failure, with the class of the client's error."""
        return StoreError(f"Weaviate at {self._describe_http()} failed ({kind}): read its log, then try again.")

    def translate_error(self, error: WeaviateBaseError | grpc.aio.AioRpcError, late: str) -> StoreError:
        """Return our error for one of the client or of a search. ``make_timeout_text`` is the text after a deadline."""
        if isinstance(error, grpc.aio.AioRpcError):
            return self._translate_search(error.code(), error.details() or "")
        text = str(error)
        if isinstance(error, _UNREACHABLE):
            return self.make_unreachable()
        if "Deadline Exceeded" in text or "UNAVAILABLE" in text:
            return StoreUnavailable(late)
        if _says_unknown_key(error):
            return self.make_wrong_key()
        if isinstance(error, InsufficientPermissionsError) and find_missing_right(text) is None:
            return self.make_read_only()
        return self._match_messages([text]) or self.make_other(type(error).__name__)

    def _translate_search(self, code: grpc.StatusCode, details: str) -> StoreError:
        if code is grpc.StatusCode.UNAVAILABLE:
            return self.make_unreachable()
        if code is grpc.StatusCode.UNAUTHENTICATED:
            return self.make_wrong_key()
        return self._match_messages([details]) or self.make_other(f"gRPC {code.name}")

    def translate_rows(self, count: int, messages: Sequence[str]) -> StoreError:
        """Return the error for a batch, from the server's messages about its ``count`` refused rows."""
        return self._match_messages(messages) or StoreError(
            f"Weaviate at {self._describe_http()} refused {count} passages: read its log, then run `kvasir sync` again."
        )

    def _match_messages(self, messages: Sequence[str]) -> StoreError | None:
        if right := next(filter(None, map(find_missing_right, messages)), None):
            # Without permission to read, Kvasir cannot answer.
            kind = StoreMisconfigured if right.startswith("read_") else StoreReadOnly
            return kind(
                f"The key in WEAVIATE_API_KEY lacks the permission {right}: add it to the key's role at Weaviate "
                "(docs/security.md lists all that Kvasir needs), then try again."
            )
        if _contain_any([one for one in messages if _INDEX_UPDATE not in one.lower()], _NO_WRITES):
            return self.make_read_only()
        if _contain_any(messages, _GONE):
            return self.make_gone()
        return self.make_unwell() if _contain_any(messages, _CLUSTER_UNWELL) else None

    def _describe_place(self) -> str:
        return " or ".join(map(str, self.nodes))

    def _describe_http(self) -> str:
        return " or ".join(str(node.http) for node in self.nodes)


def _says_unknown_key(error: WeaviateBaseError) -> bool:
    refused = isinstance(error, UnexpectedStatusCodeError) and error.status_code == HTTPStatus.UNAUTHORIZED
    return refused or "unauthenticated" in str(error).lower()
