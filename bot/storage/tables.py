"""The bot's tables, over SQLite and PostgreSQL.

A change of a table is a new revision in ``versions``, and its number in ``MIGRATIONS``. Tests compare both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bot.storage.columns import StorableString, StorableText
from knowledge.database.migrations import Migrations

MIGRATIONS: Final = Migrations(
    name="bot", versions=Path(__file__).parent / "versions", newest="0024", table="bot_revision"
)

tables = sa.MetaData()
turns = sa.Table(
    "bot_turns",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("team", sa.String(32), nullable=False),
    sa.Column("channel", sa.String(32), nullable=False),
    sa.Column("ts", sa.String(32), nullable=False),
    sa.Column("thread_ts", sa.String(32), nullable=False),
    sa.Column("user", sa.String(32), nullable=False),
    sa.Column("direct", sa.Boolean, nullable=False),
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("text", StorableText, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("replies", StorableText, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("generations", sa.Integer, nullable=False, server_default="0"),
    sa.Column("clear_status_at", sa.Float, nullable=False, server_default="0"),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
    sa.Column("error", StorableString(200), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("edited_ts", sa.String(32), nullable=False, server_default=""),
    sa.Column("revises", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("regenerates", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("unasked", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("subject", sa.String(100), nullable=False, server_default=""),
    sa.UniqueConstraint("team", "channel", "ts", name="bot_turns_message"),
    sa.Index("bot_turns_state", "state", "owner"),
    sa.Index("bot_turns_clear_status", "clear_status_at"),
    sa.Index("bot_turns_thread", "team", "channel", "thread_ts"),
)
threads = sa.Table(
    "bot_threads",
    tables,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("channel", sa.String(32), primary_key=True),
    sa.Column("thread_ts", sa.String(32), primary_key=True),
    sa.Column("last_at", sa.Float, nullable=False),
    sa.Column("talkers", sa.String(32), nullable=False, server_default=""),
    sa.Column("muted", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("muted_at", sa.Float, nullable=False, server_default="0"),
    sa.Column("answering", sa.String(32), nullable=False, server_default=""),
)
preferences = sa.Table(
    "bot_wishes",
    tables,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("user", sa.String(32), primary_key=True),
    sa.Column("think", sa.String(16), nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("language", sa.String(8), nullable=False, server_default=""),
    sa.Column("length", sa.String(16), nullable=False, server_default=""),
    sa.Column("keeps_answers", sa.Boolean, nullable=False, server_default=sa.true()),
)
channel_events = sa.Table(
    "bot_news",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("team", sa.String(32), nullable=False),
    sa.Column("channel", sa.String(32), nullable=False),
    sa.Column("root", sa.String(32), nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("event_ts", sa.String(32), nullable=False),
    sa.Column("noted_at", sa.Float, nullable=False),
    sa.Index("bot_news_team", "team", "id"),
    sqlite_autoincrement=True,
)
connection_periods = sa.Table(
    "bot_watches",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("team", sa.String(32), nullable=False),
    sa.Column("began", sa.Float, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
)
approved_channels = sa.Table(
    "bot_approved_channels",
    tables,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("channel", sa.String(32), primary_key=True),
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("approved_at", sa.Float, nullable=False),
)
channel_settings = sa.Table(
    "bot_channel_settings",
    tables,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("channel", sa.String(32), primary_key=True),
    sa.Column("sources", StorableText, nullable=False),
    sa.Column("web", sa.String(8), nullable=False),
    sa.Column("language", sa.String(8), nullable=False),
    sa.Column("think", sa.String(16), nullable=False),
    sa.Column("tone", sa.String(16), nullable=False),
    sa.Column("mention_only", sa.Boolean, nullable=False),
    sa.Column("unasked_per_hour", sa.Integer, nullable=False),
    sa.Column("unasked_at", StorableText, nullable=False, server_default="{}"),
    sa.Column("changed_by", sa.String(32), nullable=False),
    sa.Column("changed_at", sa.Float, nullable=False),
)
replicas = sa.Table(
    "bot_replicas",
    tables,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("team", sa.String(32), nullable=False),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("seen_at", sa.Float, nullable=False),
)
refresh_messages = sa.Table(
    "bot_refresh_messages",
    tables,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("channel", sa.String(32), primary_key=True),
    sa.Column("ts", sa.String(32), primary_key=True),
    sa.Column("source", StorableText, nullable=False),
    sa.Column("approves", sa.Boolean, nullable=False),
    sa.Column("language", sa.String(8), nullable=False),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
)
changes = sa.Table(
    "bot_changes",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sqlite_autoincrement=True,
)
question_counts = sa.Table(
    "bot_question_counts",
    tables,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("subject", sa.String(32), primary_key=True),
    sa.Column("minute", sa.Integer, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
)
owner_notices = sa.Table(
    "bot_owner_notices",
    tables,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("subject", sa.String(300), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("told_at", sa.Float, nullable=False),
)
verified_answers = sa.Table(
    "bot_verified_answers",
    tables,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("team", sa.String(32), nullable=False),
    sa.Column("question", StorableText, nullable=False),
    sa.Column("phrasings", StorableText, nullable=False),
    sa.Column("answer", StorableText, nullable=False),
    sa.Column("language", sa.String(8), nullable=False),
    sa.Column("passages", StorableText, nullable=False),
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("owner_name", StorableString(200), nullable=False),
    sa.Column("verified_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Column("needs_review", sa.Boolean, nullable=False),
)
answers = sa.Table(
    "bot_answers",
    tables,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("channel", sa.String(32), primary_key=True),
    sa.Column("ts", sa.String(32), primary_key=True),
    sa.Column("thread_ts", sa.String(32), nullable=False),
    sa.Column("user", sa.String(32), nullable=False),
    sa.Column("language", sa.String(8), nullable=False),
    sa.Column("question", StorableText, nullable=False),
    sa.Column("answer", StorableText, nullable=False),
    sa.Column("passages", StorableText, nullable=False),
    sa.Column("route", sa.String(16), nullable=False),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("marked", sa.Integer, nullable=False),
    sa.Column("removed", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Index("bot_answers_person", "team", "user", "created_at"),
    sa.Index("bot_answers_age", "created_at"),
)
feedback = sa.Table(
    "bot_feedback",
    tables,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("channel", sa.String(32), primary_key=True),
    sa.Column("ts", sa.String(32), primary_key=True),
    sa.Column("user", sa.String(32), primary_key=True),
    sa.Column("vote", sa.String(8), nullable=False),
    sa.Column("reasons", sa.String(100), nullable=False),
    sa.Column("comment", StorableText, nullable=False),
    sa.Column("answered_at", sa.Float, nullable=False),
    sa.Column("voted_at", sa.Float, nullable=False),
    sa.Index("bot_feedback_person", "team", "user", "voted_at"),
)

answer_documents = sa.Table(
    "bot_answer_documents",
    tables,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("channel", sa.String(32), primary_key=True),
    sa.Column("ts", sa.String(32), primary_key=True),
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Index("bot_answer_documents_age", "created_at"),
)
answer_shares = sa.Table(
    "bot_answer_shares",
    tables,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("channel", sa.String(32), primary_key=True),
    sa.Column("ts", sa.String(32), primary_key=True),
    sa.Column("target", sa.String(32), nullable=False),
    sa.Column("target_name", StorableString(100), nullable=False),
    sa.Column("shared_ts", sa.String(32), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("claimed_at", sa.Float, nullable=False, server_default="0"),
    sa.Index("bot_answer_shares_shared", "team", "target", "shared_ts"),
    sa.Index("bot_answer_shares_age", "created_at"),
)

installations = sa.Table(
    "bot_installations",
    tables,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("enterprise", sa.String(32), nullable=False),
    sa.Column("org_wide", sa.Boolean, nullable=False),
    sa.Column("name", StorableString(200), nullable=False),
    sa.Column("scopes", StorableText, nullable=False),
    sa.Column("installer", sa.String(32), nullable=False),
    sa.Column("installed_at", sa.Float, nullable=False),
    sa.Column("sealed_tokens", StorableText, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("refreshed_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Column("refresh_until", sa.Float, nullable=False),
    sa.Column("problem", sa.String(64), nullable=False),
)
home_workspace = sa.Table(
    "bot_home_workspace",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("workspace", sa.String(32), nullable=False),
)
oauth_states = sa.Table(
    "bot_oauth_states",
    tables,
    sa.Column("state", StorableString(64), primary_key=True),
    sa.Column("expires_at", sa.Float, nullable=False),
)
api_keys = sa.Table(
    "bot_api_keys",
    tables,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("name", StorableString(100), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("team", sa.String(32), nullable=False),
    sa.Column("user", sa.String(32), nullable=False),
    sa.Column("named_by", sa.String(16), nullable=False),
    sa.Column("scopes", sa.String(100), nullable=False),
    sa.Column("sources", StorableText, nullable=False),
    sa.Column("per_minute", sa.Integer, nullable=False),
    sa.Column("parallel", sa.Integer, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Column("last_used_at", sa.Float, nullable=False),
)
audit_people = sa.Table(
    "bot_audit_people",
    tables,
    sa.Column("person", sa.String(200), primary_key=True),
    sa.Column("pseudonym", sa.String(32), nullable=False),
    sa.Column("key", sa.String(64), nullable=False),
)
engine_places = sa.Table(
    "bot_engine_places",
    tables,
    sa.Column("engine", sa.String(32), primary_key=True),
    sa.Column("owner", sa.String(200), primary_key=True),
    sa.Column("held", sa.Integer, nullable=False),
    sa.Column("wanted", sa.Integer, nullable=False),
    sa.Column("granted_at", sa.Float, nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
)
cases = sa.Table(
    "bot_cases",
    tables,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("team", sa.String(32), nullable=False),
    sa.Column("profile", sa.String(40), nullable=False),
    sa.Column("account", StorableText, nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("hits", StorableText, nullable=False),
    sa.Column("outcome", sa.String(8), nullable=False),
    sa.Column("reason", StorableText, nullable=False),
    sa.Column("decided_by", sa.String(32), nullable=False),
    sa.Column("changed_at", sa.Float, nullable=False),
    sa.Index("bot_cases_outcome", "outcome", "score"),
)


def insert_into(table: sa.Table, dialect: str) -> Any:  # noqa: ANN401 - of either dialect
    """Return an INSERT that may say what happens on a conflict."""
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)
