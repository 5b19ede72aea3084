"""What Weaviate's refusals mean for a person; its own texts may quote rows, so none of them reaches ours."""

from __future__ import annotations

from dataclasses import dataclass

from knowledge.errors import StoreError, StoreMisconfigured, StoreReadOnly, StoreUnavailable
from knowledge.stores.address import Address

_NO_WRITES = ("read-only", "read only", "readonly", "forbidden", "no space left")


def says_read_only(text: str) -> bool:
    """Whether a message of the server says that it takes no writes, or none with this key."""
    lowered = text.lower()
    return any(mark in lowered for mark in _NO_WRITES)


@dataclass(frozen=True, slots=True)
class Sentences:
    """Our errors about one server, each with the next step."""

    http: Address
    grpc: Address

    def late(self, seconds: float) -> str:
        """Return the text of a ``StoreUnavailable`` after a deadline."""
        return (
            f"Weaviate at {self.http} (gRPC at {self.grpc}) did not answer within {seconds:g} s: see whether it runs "
            "and is ready, and that WEAVIATE_URL and WEAVIATE_GRPC_URL are right."
        )

    def unreachable(self) -> StoreUnavailable:
        """Say that nothing listens."""
        return StoreUnavailable(
            f"Nothing answers for Weaviate at {self.http} (gRPC at {self.grpc}): start it, or correct WEAVIATE_URL and "
            "WEAVIATE_GRPC_URL."
        )

    def wrong_key(self) -> StoreMisconfigured:
        """Say that the key is missing or unknown."""
        return StoreMisconfigured(
            f"Weaviate at {self.http} refused the key: set WEAVIATE_API_KEY to one that it knows, then start "
            "Kvasir again."
        )

    def read_only(self) -> StoreReadOnly:
        """Say that a shard or a key takes no writes."""
        return StoreReadOnly(
            f"Weaviate at {self.http} takes no writes from us: see whether its disk is nearly full (it turns "
            "read-only) and that WEAVIATE_API_KEY may write, then run `kvasir sync` again."
        )

    def refused(self, count: int) -> StoreError:
        """Say that some rows of a batch were not taken."""
        return StoreError(
            f"Weaviate at {self.http} refused {count} passages: look into its log, then run `kvasir sync` again."
        )

    def gone(self) -> StoreError:
        """Say that the collection was deleted under us."""
        return StoreError(f"The index in Weaviate at {self.http} is gone: start Kvasir again, then run `kvasir sync`.")

    def other(self, kind: str) -> StoreError:
        """Name anything else by the class of the client's error."""
        return StoreError(f"Weaviate at {self.http} failed ({kind}): look into its log, then try again.")
