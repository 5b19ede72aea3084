"""Translate the server's errors. Its own reasons may quote rows and names of users, so ours do not repeat them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from knowledge.errors import IndexLost, StoreError, StoreMisconfigured, StoreReadOnly, StoreUnavailable
from knowledge.stores.opensearch.dialects import Dialect

_RIGHT = re.compile(r"\b(?:indices|cluster):[a-z][\w/*-]*")
"""The name of a permission in the reason of a refusal."""
_TYPE = re.compile(r"[a-z_]{1,60}")
_WRITES = ("indices:data/write", "indices:admin")
_SHARDS = ("no_shard_available_action_exception", "unavailable_shards_exception", "search_phase_execution_exception")


class IndexExists(StoreError):
    """Another process created the index first."""


@dataclass(frozen=True, slots=True)
class ServerErrors:
    """Makes our errors about one server or cluster, each with the next step."""

    dialect: Dialect
    urls: Sequence[str]

    @property
    def place(self) -> str:
        """Return what the server is called, with its addresses."""
        return f"{self.dialect.name} at {' or '.join(self.urls)}"

    def make_timeout_text(self, seconds: float) -> str:
        """Return the text of a ``StoreUnavailable`` after a deadline."""
        return (
            f"{self.place} did not answer within {seconds:g} s: check that it runs and is not overloaded, and that "
            f"{self.dialect.prefix}_URL is right."
        )

    def make_unreachable(self) -> StoreUnavailable:
        """Return the error for addresses where nothing answers."""
        return StoreUnavailable(f"Nothing answers for {self.place}: start it, or correct {self.dialect.prefix}_URL.")

    def make_untrusted(self) -> StoreMisconfigured:
        """Return the error for a certificate that cannot be checked."""
        return StoreMisconfigured(
            f"The certificate of {self.place} is not trusted: name your company's authority in KVASIR_CA_FILE, or "
            f"correct the host in {self.dialect.prefix}_URL."
        )

    def make_foreign(self) -> StoreMisconfigured:
        """Return the error for an address where something else answers."""
        others = "ELASTICSEARCH_URL is for Elasticsearch, and OPENSEARCH_URL for OpenSearch"
        return StoreMisconfigured(
            f"Another server than {self.dialect.name} answers at {' or '.join(self.urls)}: correct "
            f"{self.dialect.prefix}_URL. {others}."
        )

    def make_gone(self) -> IndexLost:
        """Return the error for an index that was deleted."""
        return IndexLost(f"The index in {self.place} is gone: the next sync builds it again from the sources.")

    def make_unwell(self) -> StoreUnavailable:
        """Return the error for a cluster that is temporarily unable."""
        return StoreUnavailable(
            f"{self.place} answers, but is overloaded, or lacks a part of the index: start the nodes that are down, "
            "then try again."
        )

    def make_read_only(self) -> StoreReadOnly:
        """Return the error for an index that accepts no writes."""
        return StoreReadOnly(
            f"{self.place} accepts no writes: check whether its disk is nearly full (then its indexes are read-only), "
            "then run `kvasir sync` again."
        )

    def make_wrong_key(self) -> StoreMisconfigured:
        """Return the error for a missing or wrong key, or user."""
        name = self.dialect.prefix
        return StoreMisconfigured(
            f"{self.place} refused the key: set {name}_API_KEY, or {name}_USER and {name}_PASSWORD, then start Kvasir "
            "again."
        )

    def translate(self, status: int, error: Any) -> StoreError:  # noqa: ANN401 - JSON of the server
        """Return our error for the status and the error of an answer, or of one row of an answer."""
        kind, reason = _read_error(error)
        busy = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT}
        blocked = kind == "cluster_block_exception" and status != HTTPStatus.SERVICE_UNAVAILABLE
        lost = kind in _SHARDS and status != HTTPStatus.BAD_REQUEST  # which a wrong query has
        causes: tuple[tuple[bool, Callable[[], StoreError]], ...] = (
            (status == HTTPStatus.UNAUTHORIZED, self.make_wrong_key),
            (blocked, self.make_read_only),
            (status == HTTPStatus.FORBIDDEN, partial(self._make_forbidden, reason)),
            (
                kind == "resource_already_exists_exception",
                lambda: IndexExists(f"The index is already in {self.place}: try again."),
            ),
            (kind == "index_not_found_exception", self.make_gone),
            (status in busy or status >= HTTPStatus.INTERNAL_SERVER_ERROR or lost, self.make_unwell),
            (status == HTTPStatus.NOT_FOUND, self.make_foreign),
        )
        for applies, make_error in causes:
            if applies:
                return make_error()
        named = kind if _TYPE.fullmatch(kind) else f"status {status}"
        return StoreError(f"{self.place} refused a call ({named}): read its log, then run `kvasir sync` again.")

    def _make_forbidden(self, reason: str) -> StoreError:
        found = _RIGHT.search(reason)
        right = found[0] if found else ""
        kind = StoreReadOnly if right.startswith(_WRITES) else StoreMisconfigured
        return kind(
            f"Kvasir's user at {self.place} lacks {f'the permission {right}' if right else 'a permission'}: add it to "
            "the user's role (docs/security.md lists all that Kvasir needs), then try again."
        )


def _read_error(error: Any) -> tuple[str, str]:  # noqa: ANN401
    """Return the type and the reason of a server's error, which a proxy before it may lack."""
    if not isinstance(error, dict):
        return "", str(error)
    return str(error.get("type", "")), str(error.get("reason", ""))
