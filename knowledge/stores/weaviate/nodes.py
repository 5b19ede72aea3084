"""One client for each node of a Weaviate, and which of them a call goes to.

The client has one endpoint, and goes on trying a dead one for up to 63 s whatever its time-outs say. So every call is
bounded here, is watched while it is not answered (a node that is not alive is left at once), and goes on to another
node within the same deadline. That is right only for calls that may be made twice: reads, and writes by fixed ids.

Calls stay with one node as long as it answers, so that what was written through it is found through it. A node that
failed rests; it is asked whether it is ready, and is used again some time after that, while the others do the work: a
copy that was down answers with what it missed until the server has mended it.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import aiohttp
import grpc  # type: ignore[import-untyped]

from knowledge.errors import StoreError, StoreMisconfigured, StoreUnavailable
from knowledge.stores.common import enforce_deadline
from knowledge.stores.weaviate.address import NodeAddress
from knowledge.stores.weaviate.errors import IndexGone, NodeDown, WeaviateErrors
from knowledge.stores.weaviate.search import SearchCall
from knowledge.stores.weaviate.trust import TrustStore, load_trust_store

with warnings.catch_warnings():  # importing the client sets the process's filters to "default"
    import weaviate
    from weaviate import WeaviateAsyncClient
    from weaviate.classes.init import AdditionalConfig, Auth, Timeout
    from weaviate.config import ConnectionConfig, GrpcConfig
    from weaviate.exceptions import WeaviateBaseError
    from weaviate.proto.v1 import search_get_pb2 as wire

T = TypeVar("T")

_log = logging.getLogger(__name__)

_SERVER_ERROR = 500
_RECONNECT = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 2000)]
_CHANNEL = [*_RECONNECT, ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True, slots=True)
class WeaviateLimits:
    """Deadlines, in seconds, and batch sizes."""

    open_s: float = 10.0
    read_s: float = 8.0
    """Of a search, whatever number of nodes it has to ask."""
    read_attempt_s: float = 1.0
    """Of a read at one node of several, the first time that it is asked: while the cluster has not noticed that a node
    is gone, a healthy one may wait for the copy there and never answer, and is quick when it is asked again."""
    write_s: float = 60.0
    """Of one batch; as long as it is not over, nodes that cannot take it are asked again."""
    batch_rows: int = 500
    write_attempt_s: float = 15.0
    """Of a write at one node of several, likewise."""
    watch_s: float = 0.3
    """How long a call may be unanswered before its node is asked whether it is alive, and then between two askings."""
    probe_s: float = 1.0
    """Of such an asking, and between two of a node that rests."""
    settle_s: float = 60.0
    """How long a node that is ready again is spared: so long a copy needs to catch up."""


@dataclass(frozen=True, slots=True)
class NodeConnection:
    """A connection to one node."""

    client: WeaviateAsyncClient
    search: SearchCall
    """Sends a search past the client, which neither tries again nor outlives the call."""
    channel: grpc.aio.Channel

    async def close(self) -> None:
        """Close both sides of it."""
        await self.client.close()
        await self.channel.close()


class NodeState(enum.IntEnum):
    """What is known of a node; the smaller, the sooner it is asked."""

    WELL = 0
    BACK = 1
    """Ready again, and catching up."""
    RESTS = 2


@dataclass(eq=False, slots=True)
class _Node:
    address: NodeAddress
    state: NodeState = NodeState.WELL
    settled_at: float = 0.0
    """On the loop's clock: when a node that is back counts as well."""
    link: NodeConnection | None = None
    connecting: asyncio.Lock = field(default_factory=asyncio.Lock)


class WeaviateNodes:
    """The nodes of one Weaviate; connected to when they are first needed.

    Args:
        addresses: at least one; the first is asked first.
        key: the API key, or None where the server asks for none.
        told: the errors about these nodes.
        limits: deadlines.
        ca_file: certificates of a company's own authority (PEM), trusted beside the public ones.

    """

    def __init__(
        self,
        addresses: Sequence[NodeAddress],
        key: str | None,
        told: WeaviateErrors,
        limits: WeaviateLimits,
        ca_file: Path | None = None,
    ) -> None:
        self._nodes = [_Node(address) for address in addresses]
        self._key = key
        self._told = told
        self._limits = limits
        self._ca_file = ca_file
        self._at = 0
        self._session: aiohttp.ClientSession | None = None
        self._mending: asyncio.Task[None] | None = None
        # On a partial failure the client logs whole objects, texts and vectors with them; we count errors ourselves.
        logging.getLogger("weaviate-client").setLevel(logging.CRITICAL + 1)

    async def read(self, what: Callable[[NodeConnection], Awaitable[T]]) -> T:
        """Read at the first node that answers; a server of which nothing listens any more is told at once.

        Raises:
            StoreUnavailable: no node answered in time.
            StoreError: what the nodes said of it.

        """
        return await self._call(what, self._limits.read_s, self._limits.read_attempt_s, patient=False)

    async def change(
        self, what: Callable[[NodeConnection], Awaitable[T]], seconds: float, *, patient: bool = False
    ) -> T:
        """Make a change that may be made twice, at the first node that takes it.

        ``patient`` waits ``seconds`` even for a server of which nothing listens: it may just be starting.

        Raises:
            StoreUnavailable: no node answered in time.
            StoreError: what the nodes said of it.

        """
        return await self._call(what, seconds, self._limits.write_attempt_s, patient=patient)

    async def _call(
        self,
        what: Callable[[NodeConnection], Awaitable[T]],
        seconds: float,
        attempt_s: float,
        *,
        patient: bool,
    ) -> T:
        clock = asyncio.get_running_loop().time
        ends = clock() + seconds
        longest = attempt_s if len(self._nodes) > 1 else seconds
        while True:
            failures: list[StoreError] = []
            order = self._order()
            for others, node in zip(reversed(range(len(order))), order, strict=True):
                left = max(0.0, ends - clock())
                share = min(longest, left / 2 if others else left)
                try:
                    return await self._call_at(node, what, share, self._told.late(seconds))
                except StoreMisconfigured:
                    raise
                except StoreError as error:
                    failures.append(error)
            failure = _choose_failure(failures)
            again = isinstance(failure, StoreUnavailable) and (patient or _is_some_node_alive(failures))
            if not again or clock() + self._limits.probe_s >= ends:
                raise failure
            await asyncio.sleep(self._limits.probe_s / 2)
            longest = seconds

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        mending, self._mending = self._mending, None
        if mending is not None:
            mending.cancel()
            await asyncio.gather(mending, return_exceptions=True)
        for node in self._nodes:
            link, node.link = node.link, None
            if link is not None:
                await link.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # ── One call ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _order(self) -> list[_Node]:
        """Return the nodes, best first: by what is known of them, then from the one that answered last."""
        turned = [*self._nodes[self._at :], *self._nodes[: self._at]]
        return sorted(turned, key=lambda node: node.state)

    async def _call_at(
        self, node: _Node, what: Callable[[NodeConnection], Awaitable[T]], seconds: float, late: str
    ) -> T:
        try:
            async with enforce_deadline(seconds, late):
                result = await self._watched(node, what)
        except StoreUnavailable:
            self._rest(node)
            raise
        except (WeaviateBaseError, grpc.aio.AioRpcError) as error:
            ours = self._told.of(error, late)
            if isinstance(ours, StoreUnavailable):
                self._rest(node)
            raise ours from error
        self._at = self._nodes.index(node)
        return result

    async def _watched(self, node: _Node, what: Callable[[NodeConnection], Awaitable[T]]) -> T:
        """Wait for an answer, and no longer than the node is alive."""

        async def call() -> T:
            return await what(await self._connected(node))

        task = asyncio.ensure_future(call())
        try:
            while not (await asyncio.wait({task}, timeout=self._limits.watch_s))[0]:
                if not await self._answers(node, "live") and not task.done():
                    raise self._told.unreachable()
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _connected(self, node: _Node) -> NodeConnection:
        async with node.connecting:
            if node.link is None:
                link = _connect_node(node.address, self._key, await load_trust_store(self._ca_file))
                try:
                    await link.client.connect()
                except BaseException:
                    await link.close()
                    raise
                node.link = link
            return node.link

    # ── Health ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _rest(self, node: _Node) -> None:
        if len(self._nodes) > 1:
            if node.state is not NodeState.RESTS:
                _log.warning("The Weaviate node %s does not answer; the others are asked.", node.address)
            node.state = NodeState.RESTS
            if self._mending is None or self._mending.done():
                self._mending = asyncio.create_task(self._mend())

    async def _mend(self) -> None:
        """Ask the nodes that rest whether they are ready, until none rests."""
        while unwell := [node for node in self._nodes if node.state is not NodeState.WELL]:
            await asyncio.sleep(self._limits.probe_s)
            await asyncio.gather(*map(self._look_at, unwell))

    async def _look_at(self, node: _Node) -> None:
        now = asyncio.get_running_loop().time()
        if node.state is NodeState.BACK and now >= node.settled_at:
            node.state = NodeState.WELL
        elif node.state is NodeState.RESTS and await self._answers(node, "ready"):
            node.state, node.settled_at = NodeState.BACK, now + self._limits.settle_s
            _log.info("The Weaviate node %s is ready again.", node.address)

    async def _answers(self, node: _Node, what: str) -> bool:
        """Whether a node says ``live`` or ``ready``; nothing secret is sent, so no certificate is checked."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._limits.probe_s))
        try:
            async with self._session.get(f"{node.address.http}/v1/.well-known/{what}", ssl=False) as answer:
                return answer.status < _SERVER_ERROR
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False


def _choose_failure(failures: Sequence[StoreError]) -> StoreError:
    """Return what says most: a refusal, then a silence, then a node that is down; "gone" only if most say so."""
    gone = [error for error in failures if isinstance(error, IndexGone)]
    if 2 * len(gone) > len(failures):
        return gone[0]
    rest = [error for error in failures if not isinstance(error, IndexGone)]
    return min(rest, key=lambda error: (isinstance(error, StoreUnavailable), isinstance(error, NodeDown)))


def _is_some_node_alive(failures: Sequence[StoreError]) -> bool:
    """Whether one of several nodes is alive; a single one has had all the time there is."""
    return len(failures) > 1 and not all(isinstance(error, NodeDown) for error in failures)


def _connect_node(address: NodeAddress, key: str | None, trust: TrustStore | None) -> NodeConnection:
    target = f"{address.grpc.host}:{address.grpc.port}"
    if address.grpc.secure:
        credentials = grpc.ssl_channel_credentials() if trust is None else trust.channel
        channel = grpc.aio.secure_channel(target, credentials, options=_CHANNEL)
    else:
        channel = grpc.aio.insecure_channel(target, options=_CHANNEL)
    send = channel.unary_unary(
        "/weaviate.v1.Weaviate/Search",
        request_serializer=wire.SearchRequest.SerializeToString,
        response_deserializer=wire.SearchReply.FromString,
    )
    metadata = (("authorization", f"Bearer {key}"),) if key else ()

    async def search(request: wire.SearchRequest) -> wire.SearchReply:
        reply: wire.SearchReply = await send(request, metadata=metadata)
        return reply

    return NodeConnection(_make_client(address, key, trust), search, channel)


def _make_client(address: NodeAddress, key: str | None, trust: TrustStore | None) -> WeaviateAsyncClient:
    client = weaviate.use_async_with_custom(
        http_host=address.http.host,
        http_port=address.http.port,
        http_secure=address.http.secure,
        grpc_host=address.grpc.host,
        grpc_port=address.grpc.port,
        grpc_secure=address.grpc.secure,
        auth_credentials=Auth.api_key(key) if key else None,
        additional_config=AdditionalConfig(
            timeout=Timeout(init=5, query=60, insert=120),  # ours are shorter
            connection=ConnectionConfig(session_pool_max_retries=0),
            grpc_config=GrpcConfig(channel_options=_RECONNECT, credentials=None if trust is None else trust.channel),
        ),
        skip_init_checks=True,  # they ask a package index for the newest client
    )
    if trust is not None:
        trust.given_to(client)
    return client
