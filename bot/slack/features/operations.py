"""What administrators see of the machines: the queue, the store and the replicas, which store heartbeats."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from bot.audit.entries import AuditLog
from bot.languages.registry import Language
from bot.messages.durations import format_age
from bot.messages.forms import home
from bot.messages.message import render_message
from bot.slack.conversations.library import KnowledgeLibrary
from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.home import HomeViewer, build_header, build_lines
from bot.slack.features.kit.status_texts import format_differences, format_store
from bot.slack.people.roles import Role
from bot.slack.posting.ephemeral import Block
from bot.slack.wire.rate_limits import RateLimits
from bot.slack.wire.tasks import PeriodicTask
from bot.slack.wire.text import render
from bot.storage.replicas import HEARTBEAT_S, MISSING_S, Replica, Replicas
from engine.routing.request_queue import QueueCounts
from knowledge.errors import DatabaseError
from knowledge.status import LibraryStatus

_MAX_REPLICAS = 20


def build_feature(tools: FeatureTools) -> Feature:
    """Return the part of Home, which only administrators of the first workspace see: they run Kvasir."""
    shared, needs = tools.shared, tools.shared.dependencies
    replicas = Replicas(shared.database, shared.me.team, version("kvasir"))
    part = OperationsPart(needs.library, replicas, needs.count_requests, needs.audit_log)
    heartbeat = ReplicaHeartbeat(replicas, shared.capabilities.limits)
    return Feature(home_parts=[part] if shared.is_home else [], tasks=[heartbeat])


@dataclass(frozen=True, slots=True)
class OperationsPart:
    """Shows the state of the machines; the line about the engine is at the top of every Home."""

    library: KnowledgeLibrary
    replicas: Replicas
    count_requests: Callable[[], QueueCounts]
    audit: AuditLog

    async def build_blocks(self, viewer: HomeViewer) -> list[Block]:
        """Return nothing for people who are not administrators."""
        if Role.ADMIN not in viewer.roles:
            return []
        language, counts, state = viewer.language, self.count_requests(), await self.library.status()
        replicas = await self.replicas.list_all()
        lines = [
            render_message(home.QUEUE, language, waiting=counts.waiting, running=counts.running),
            *format_store(state, language),
            _format_leader(state, language),
            *format_differences(state, language),
            *(_format_replica(one, self.replicas.now(), language) for one in replicas[:_MAX_REPLICAS]),
        ]
        if self.audit.lost:
            lines.append(render_message(home.AUDIT_LOST, language, count=self.audit.lost))
        if (more := len(replicas) - _MAX_REPLICAS) > 0:
            lines.append(render_message(home.MORE_REPLICAS, language, count=more))
        return [build_header(home.FOR_ADMINS, language), *build_lines(lines, len(lines))[0]]


def _format_leader(state: LibraryStatus, language: Language) -> str:
    if state.leader is None:
        return render_message(home.NO_LEADER, language)
    return render_message(home.LEADER, language, leader=render.escape_mrkdwn(state.leader.label))


def _format_replica(replica: Replica, now: float, language: Language) -> str:
    line = render_message(
        home.REPLICA,
        language,
        host=render.escape_mrkdwn(replica.host),
        pid=replica.pid,
        version=replica.version,
        started=format_age(max(0.0, now - replica.started_at), language),
        seen=format_age(max(0.0, now - replica.seen_at), language),
    )
    if now - replica.seen_at <= MISSING_S:
        return f"• {line}"
    return render_message(home.MISSING_REPLICA, language, replica=line)


class ReplicaHeartbeat(PeriodicTask):
    """Tells the other replicas at intervals that this one is alive, and divides Slack's limits by their number."""

    def __init__(self, replicas: Replicas, limits: RateLimits) -> None:
        super().__init__("replica heartbeat", HEARTBEAT_S)
        self._replicas = replicas
        self._limits = limits

    async def run_once(self) -> None:
        """Store a heartbeat."""
        await self._replicas.record_heartbeat()
        self._limits.divide_by(await self._replicas.count_living())

    async def close(self) -> None:
        """Stop, and let the other replicas forget this one."""
        if self._task is not None:
            await super().close()
            with contextlib.suppress(DatabaseError):
                await self._replicas.remove_replica()
