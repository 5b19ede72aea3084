"""The people and conversations of a new workspace."""

from __future__ import annotations

from bot.sandbox.state.model import (
    BOT_USER,
    PARTNER_TEAM_ID,
    SYSTEM_USER,
    SlackChannel,
    SlackPerson,
)

COLLEAGUES = (
    SlackPerson("U0ADA00001", "ada", "Ada Lindqvist", "Platform", role="owner", email="ada@sandbox.example"),
    SlackPerson("U0BO000002", "bo", "Bo Okafor", "Support", email="bo@sandbox.example"),
    SlackPerson("U0CHEN0003", "chen", "陈静 Chen Jing", "产品 Product", email="chen@sandbox.example", locale="zh-CN"),
    SlackPerson("U0MIRA0004", "mira", "Mira Santos", "New here", email="mira@sandbox.example"),
)
GUEST = SlackPerson(
    "U0GUS00005", "gus", "Gus Weber", "Contractor", role="single_channel_guest", email="gus@weber-studio.example"
)
PARTNER = SlackPerson(
    "U0NOOR0006", "noor", "Noor Haddad", "Northwind", team=PARTNER_TEAM_ID, email="noor@northwind.example"
)
PEOPLE = (*COLLEAGUES, GUEST, PARTNER)
BOT = SlackPerson(BOT_USER, "kvasir", "Kvasir", "Answers from the documents", is_bot=True)
SYSTEM = SlackPerson(SYSTEM_USER, "workspace", "Workspace", is_bot=True)

_STAFF = tuple(person.id for person in COLLEAGUES)
_ADA, _BO, *_ = _STAFF


def first_channels(created: int) -> tuple[SlackChannel, ...]:
    """Return the conversations of a new workspace: the app is in all channels but one, with a DM for each member."""
    channels = [
        SlackChannel("C0GENERAL1", "general", "channel", (*_STAFF, BOT_USER), created, "Everybody, about everything"),
        SlackChannel("C0HANDBOOK", "handbook", "channel", (*_STAFF, BOT_USER), created, "How we work: ask Kvasir"),
        SlackChannel(
            "C0RANDOM01", "random", "channel", _STAFF, created, "Kvasir is not here until somebody invites it"
        ),
        SlackChannel("C0PROJECT1", "project", "channel", (*_STAFF, GUEST.id, BOT_USER), created, "A guest reads along"),
        SlackChannel("C0REORG001", "reorg", "group", (_ADA, _BO, BOT_USER), created, "Private: the new organization"),
        SlackChannel(
            "C0PARTNERS",
            "partners",
            "channel",
            (*_STAFF, PARTNER.id, BOT_USER),
            created,
            "Shared with another company",
            shared_with=(PARTNER_TEAM_ID,),
        ),
        SlackChannel("C0MPDM0001", "mpdm-ada--chen--kvasir-1", "mpim", (_ADA, _STAFF[2], BOT_USER), created),
    ]
    pairs = [(a, b) for n, a in enumerate(_STAFF) for b in (BOT_USER, *_STAFF[n + 1 :])]
    channels += [SlackChannel(f"D0DIRECT{n:02}", "", "im", pair, created) for n, pair in enumerate(pairs, 1)]
    return (*channels, SlackChannel("D0GUS00005", "", "im", (GUEST.id, BOT_USER), created))
