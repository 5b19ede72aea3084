"""Connect to each Weaviate node, and choose the node for a call.

The client has one endpoint, and retries a dead one for up to 63 s in spite of its timeouts. So every call here has a
deadline and is watched while it waits. If its node is not alive, the call moves to another node within the same
deadline. That is safe only for calls that can be repeated: reads, and writes by fixed ids.

Calls stay with one node while it answers, so reads find what was written through it. A failed node is suspended and
probed until it is ready. It gets calls again some time later, because a replica that was down lacks data until the
server has repaired it.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import ssl
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import aiohttp
import certifi
import grpc  # type: ignore[import-untyped]
import httpx

from knowledge.errors import StoreError, StoreMisconfigured, StoreUnavailable
from knowledge.stores.common import enforce_deadline
from knowledge.stores.weaviate.address import NodeAddress
from knowledge.stores.weaviate.errors import IndexGone, NodeDown, WeaviateErrors
from knowledge.stores.weaviate.search import SearchCall

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
    """Deadlines in seconds, and batch sizes."""

    open_s: float = 10.0
    read_s: float = 8.0
    """The time for a search, over all nodes that it tries."""
    read_attempt_s: float = 1.0
    """The time for the first attempt of a read at one of several nodes. Until the cluster notices that a node is gone,
    a healthy node may wait for that replica and never answer. A second attempt is fast."""
    write_s: float = 60.0
    """The time for one batch. Within it, nodes that cannot accept the batch are tried again."""
    batch_rows: int = 500
    write_attempt_s: float = 15.0
    """The time for a write at one of several nodes, for the same reason."""
    watch_s: float = 0.3
    """How long a call may wait before its node is probed, and the pause between probes."""
    probe_s: float = 1.0
    """The time for one probe, and the pause between probes of a suspended node."""
    settle_s: float = 60.0
    """How long a node that is ready again gets no calls, so that its replica can catch up."""


@dataclass(frozen=True, slots=True)
class _TrustStore:
    """One set of authorities, in the forms that REST and gRPC need."""

    rest: ssl.SSLContext = field(repr=False)
    channel: grpc.ChannelCredentials = field(repr=False)

    def apply_to(self, client: WeaviateAsyncClient) -> None:
        """Make a client that is not connected yet check REST's certificates with these authorities.

        The client has no option for that and uses the defaults of httpx. Its mounts for proxies, which it has none of,
        accept connections with a context.
        """

        def make_mounts(_colour: object) -> dict[str, httpx.AsyncHTTPTransport]:
            return {"https://": httpx.AsyncHTTPTransport(verify=self.rest, trust_env=False)}

        client._connection._make_mounts = make_mounts  # type: ignore[assignment,method-assign]  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class NodeConnection:
    """A connection to one node."""

    client: WeaviateAsyncClient
    search: SearchCall
    """Sends a search without the client, so it is neither retried nor continued after the call."""
    channel: grpc.aio.Channel

    async def close(self) -> None:
        """Close both interfaces."""
        await self.client.close()
        await self.channel.close()


class NodeState(enum.IntEnum):
    """The state of a node. Calls prefer nodes with smaller values."""

    HEALTHY = 0
    RECOVERING = 1
    """Ready again, but still catching up."""
    SUSPENDED = 2


@dataclass(eq=False, slots=True)
class _Node:
    address: NodeAddress
    state: NodeState = NodeState.HEALTHY
    healthy_at: float = 0.0
    """When a recovering node counts as healthy again, on the loop's clock."""
    link: NodeConnection | None = None
    connecting: asyncio.Lock = field(default_factory=asyncio.Lock)


class WeaviateNodes:
    """The nodes of one Weaviate, connected when they are first needed.

    Args:
        addresses: at least one. Calls try the first one first.
        key: the API key, or None if the server needs none.
        errors: makes the errors about these nodes.
        limits: deadlines.
        ca_file: certificates of a company's own authority (PEM), trusted in addition to the public ones.

    """

    def __init__(
        self,
        addresses: Sequence[NodeAddress],
        key: str | None,
        errors: WeaviateErrors,
        limits: WeaviateLimits,
        ca_file: Path | None = None,
    ) -> None:
        self._nodes = [_Node(address) for address in addresses]
        self._key = key
        self._errors = errors
        self._limits = limits
        self._ca_file = ca_file
        self._at = 0
        self._session: aiohttp.ClientSession | None = None
        self._probing: asyncio.Task[None] | None = None
        # If a batch fails partly, the client logs whole objects with texts and vectors. Kvasir counts the errors
        # itself.
        logging.getLogger("weaviate-client").setLevel(logging.CRITICAL + 1)

    async def read(self, what: Callable[[NodeConnection], Awaitable[T]]) -> T:
        """Read from the first node that answers. If no process listens at any node, fail immediately.

        Raises:
            StoreUnavailable: no node answered in time.
            StoreError: the nodes refused the call.

        """
        return await self._call_nodes(what, self._limits.read_s, self._limits.read_attempt_s, patient=False)

    async def change_store(
        self, what: Callable[[NodeConnection], Awaitable[T]], seconds: float, *, patient: bool = False
    ) -> T:
        """Make a repeatable change at the first node that accepts it.

        ``patient`` waits ``seconds`` even if no process listens, because the server may just be starting.

        Raises:
            StoreUnavailable: no node answered in time.
            StoreError: the nodes refused the call.

        """
        return await self._call_nodes(what, seconds, self._limits.write_attempt_s, patient=patient)

    async def _call_nodes(
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
            order = self._order_nodes()
            for others, node in zip(reversed(range(len(order))), order, strict=True):
                left = max(0.0, ends - clock())
                share = min(longest, left / 2 if others else left)
                try:
                    return await self._call_node(node, what, share, self._errors.make_timeout_text(seconds))
                except StoreMisconfigured:
                    raise
                except StoreError as error:
                    failures.append(error)
            failure = _choose_failure(failures)
            # A single node has already used the whole time.
            is_some_alive = len(failures) > 1 and not all(isinstance(error, NodeDown) for error in failures)
            again = isinstance(failure, StoreUnavailable) and (patient or is_some_alive)
            if not again or clock() + self._limits.probe_s >= ends:
                raise failure
            await asyncio.sleep(self._limits.probe_s / 2)
            longest = seconds

    async def close(self) -> None:
        """Close every connection. It is safe to call twice."""
        mending, self._probing = self._probing, None
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

    def _order_nodes(self) -> list[_Node]:
        """Return the nodes, best first: by state, then beginning with the last one that answered."""
        turned = [*self._nodes[self._at :], *self._nodes[: self._at]]
        return sorted(turned, key=lambda node: node.state)

    async def _call_node(
        self, node: _Node, what: Callable[[NodeConnection], Awaitable[T]], seconds: float, late: str
    ) -> T:
        try:
            async with enforce_deadline(seconds, late):
                result = await self._await_while_alive(node, what)
        except StoreUnavailable:
            self._suspend_node(node)
            raise
        except (WeaviateBaseError, grpc.aio.AioRpcError) as error:
            ours = self._errors.translate_error(error, late)
            if isinstance(ours, StoreUnavailable):
                self._suspend_node(node)
            raise ours from error
        self._at = self._nodes.index(node)
        return result

    async def _await_while_alive(self, node: _Node, what: Callable[[NodeConnection], Awaitable[T]]) -> T:
        """Wait for an answer while the node is alive."""

        async def call() -> T:
            return await what(await self._connect_node(node))

        task = asyncio.ensure_future(call())
        try:
            while not (await asyncio.wait({task}, timeout=self._limits.watch_s))[0]:
                if not await self._is_answering(node, "live") and not task.done():
                    raise self._errors.make_unreachable()
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _connect_node(self, node: _Node) -> NodeConnection:
        async with node.connecting:
            if node.link is None:
                trust = None
                if self._ca_file is not None:
                    trust = await asyncio.to_thread(_load_trust_store, self._ca_file)
                link = _make_link(node.address, self._key, trust)
                try:
                    await link.client.connect()
                except BaseException:
                    await link.close()
                    raise
                node.link = link
            return node.link

    # ── Health ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _suspend_node(self, node: _Node) -> None:
        if len(self._nodes) > 1:
            if node.state is not NodeState.SUSPENDED:
                _log.warning("The Weaviate node %s does not answer; Kvasir uses the other nodes.", node.address)
            node.state = NodeState.SUSPENDED
            if self._probing is None or self._probing.done():
                self._probing = asyncio.create_task(self._probe_suspended())

    async def _probe_suspended(self) -> None:
        """Probe the suspended nodes until all are healthy."""
        while unwell := [node for node in self._nodes if node.state is not NodeState.HEALTHY]:
            await asyncio.sleep(self._limits.probe_s)
            await asyncio.gather(*map(self._probe_node, unwell))

    async def _probe_node(self, node: _Node) -> None:
        now = asyncio.get_running_loop().time()
        if node.state is NodeState.RECOVERING and now >= node.healthy_at:
            node.state = NodeState.HEALTHY
        elif node.state is NodeState.SUSPENDED and await self._is_answering(node, "ready"):
            node.state, node.healthy_at = NodeState.RECOVERING, now + self._limits.settle_s
            _log.info("The Weaviate node %s is ready again.", node.address)

    async def _is_answering(self, node: _Node, what: str) -> bool:
        """Return whether a node reports ``live`` or ``ready``.

        Nothing secret is sent, so certificates are not checked.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._limits.probe_s))
        try:
            async with self._session.get(f"{node.address.http}/v1/.well-known/{what}", ssl=False) as answer:
                return answer.status < _SERVER_ERROR
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False


def _choose_failure(failures: Sequence[StoreError]) -> StoreError:
    """Return the most informative error: a refusal, then a timeout, then a dead node.

    A missing index counts only if most nodes report it.
    """
    gone = [error for error in failures if isinstance(error, IndexGone)]
    if 2 * len(gone) > len(failures):
        return gone[0]
    rest = [error for error in failures if not isinstance(error, IndexGone)]
    return min(rest, key=lambda error: (isinstance(error, StoreUnavailable), isinstance(error, NodeDown)))


def _make_link(address: NodeAddress, key: str | None, trust: _TrustStore | None) -> NodeConnection:
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


def _make_client(address: NodeAddress, key: str | None, trust: _TrustStore | None) -> WeaviateAsyncClient:
    client = weaviate.use_async_with_custom(
        http_host=address.http.host,
        http_port=address.http.port,
        http_secure=address.http.secure,
        grpc_host=address.grpc.host,
        grpc_port=address.grpc.port,
        grpc_secure=address.grpc.secure,
        auth_credentials=Auth.api_key(key) if key else None,
        additional_config=AdditionalConfig(
            timeout=Timeout(init=5, query=60, insert=120),  # Our own deadlines are shorter.
            connection=ConnectionConfig(session_pool_max_retries=0),
            grpc_config=GrpcConfig(channel_options=_RECONNECT, credentials=None if trust is None else trust.channel),
        ),
        skip_init_checks=True,  # They ask a package index for the newest client.
    )
    if trust is not None:
        trust.apply_to(client)
    return client


def _load_trust_store(ca_file: Path) -> _TrustStore:
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=ca_file)
    roots = Path(certifi.where()).read_bytes() + b"\n" + ca_file.read_bytes()
    return _TrustStore(context, grpc.ssl_channel_credentials(root_certificates=roots))
