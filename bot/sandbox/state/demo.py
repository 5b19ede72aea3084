"""The people and conversations of a new workspace."""

from __future__ import annotations

from bot.sandbox.state.model import (
    BOT_USER,
    PARTNER_TEAM_ID,
    SYSTEM_USER,
    Channel,
    Person,
)

COLLEAGUES = (
    Person("U0ADA00001", "ada", "Ada Lindqvist", "Platform", role="owner", email="ada@sandbox.example"),
    Person("U0BO000002", "bo", "Bo Okafor", "Support", email="bo@sandbox.example"),
    Person("U0CHEN0003", "chen", "陈静 Chen Jing", "产品 Product", email="chen@sandbox.example", locale="zh-CN"),
    Person("U0MIRA0004", "mira", "Mira Santos", "New here", email="mira@sandbox.example"),
)
GUEST = Person(
    "U0GUS00005", "gus", "Gus Weber", "Contractor", role="single_channel_guest", email="gus@weber-studio.example"
)
PARTNER = Person("U0NOOR0006", "noor", "Noor Haddad", "Northwind", team=PARTNER_TEAM_ID, email="noor@northwind.example")
PEOPLE = (*COLLEAGUES, GUEST, PARTNER)
BOT = Person(BOT_USER, "kvasir", "Kvasir", "Answers from the documents", is_bot=True)
SYSTEM = Person(SYSTEM_USER, "workspace", "Workspace", is_bot=True)

_STAFF = tuple(person.id for person in COLLEAGUES)
_ADA, _BO, *_ = _STAFF


def first_channels(created: int) -> tuple[Channel, ...]:
    """Return the conversations of a new workspace: the app is in all channels but one, with a DM for each member."""
    channels = [
        Channel("C0GENERAL1", "general", "channel", (*_STAFF, BOT_USER), created, "Everybody, about everything"),
        Channel("C0HANDBOOK", "handbook", "channel", (*_STAFF, BOT_USER), created, "How we work: ask Kvasir"),
        Channel("C0RANDOM01", "random", "channel", _STAFF, created, "Kvasir is not here until somebody invites it"),
        Channel("C0PROJECT1", "project", "channel", (*_STAFF, GUEST.id, BOT_USER), created, "A guest reads along"),
        Channel("C0REORG001", "reorg", "group", (_ADA, _BO, BOT_USER), created, "Private: the new organization"),
        Channel(
            "C0PARTNERS",
            "partners",
            "channel",
            (*_STAFF, PARTNER.id, BOT_USER),
            created,
            "Shared with another company",
            shared_with=(PARTNER_TEAM_ID,),
        ),
        Channel("C0MPDM0001", "mpdm-ada--chen--kvasir-1", "mpim", (_ADA, _STAFF[2], BOT_USER), created),
    ]
    pairs = [(a, b) for n, a in enumerate(_STAFF) for b in (BOT_USER, *_STAFF[n + 1 :])]
    channels += [Channel(f"D0DIRECT{n:02}", "", "im", pair, created) for n, pair in enumerate(pairs, 1)]
    return (*channels, Channel("D0GUS00005", "", "im", (GUEST.id, BOT_USER), created))
