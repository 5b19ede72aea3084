"""Where Kvasir's rows are on a Weaviate, and how many copies must agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from knowledge.errors import StoreMisconfigured

Consistency = Literal["ONE", "QUORUM", "ALL"]


@dataclass(frozen=True, slots=True)
class Placement:
    """The variables ``WEAVIATE_REPLICAS``, ``WEAVIATE_SHARDS`` and so on, by their names.

    Raises:
        StoreMisconfigured: two of them contradict each other.

    """

    replicas: int = 1
    """Copies of each row, fixed when a collection is created."""
    shards: int | None = None
    """Shards of a collection, also fixed; None for the server's default (one for each node)."""
    tenant: str | None = None
    """With a tenant, collections are shared with other tenants, and Kvasir uses only this one."""
    namespace: str = ""
    """Part of our collections' names, so that two installations on one server have separate collections."""
    read_consistency: Consistency | None = None
    """None: QUORUM if there are several copies, else ONE."""
    write_consistency: Consistency | None = None

    def __post_init__(self) -> None:
        if self.tenant is not None and self.shards is not None:
            raise StoreMisconfigured(
                "WEAVIATE_TENANT and WEAVIATE_SHARDS are both set, but a tenant is one shard. Unset one."
            )

    @property
    def read_level(self) -> Consistency:
        """Return how many copies must agree on a read."""
        return self.read_consistency or self._usual

    @property
    def write_level(self) -> Consistency:
        """Return how many copies must accept a write."""
        return self.write_consistency or self._usual

    @property
    def _usual(self) -> Consistency:
        return "QUORUM" if self.replicas > 1 else "ONE"
