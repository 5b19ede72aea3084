"""The identity map: it adds what its sources say, and a failure only takes away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from knowledge.errors import IdentityError
from knowledge.identity.email_addresses import EmailIdentitySource
from knowledge.identity.identity_map import MAX_PEOPLE, TTL_S, IdentityMap
from knowledge.interfaces.people import IdentitySource, Person


class Directory:
    """A system with accounts that a test changes."""

    namespace = ""

    def __init__(self, name: str = "directory", *, in_bulk: bool = False) -> None:
        self.identity_name, self.answers_in_bulk = name, in_bulk
        self.held: dict[str, frozenset[str]] = {}
        self.fails = False
        self.hangs = False
        self.asked: list[list[Person]] = []

    async def find_principals(self, people: Sequence[Person], /) -> Mapping[str, frozenset[str]]:
        self.asked.append(list(people))
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise IdentityError("The directory is down. Start it.")
        return self.held

    async def find_holdable(self, principals: frozenset[str], /) -> frozenset[str]:
        return principals & frozenset[str]().union(*self.held.values())

    async def check_identities(self) -> str:
        return f"{len(self.held)} people"


class Clock:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


ADA = Person("U1", "ada@company.com", frozenset({"U1", "*", "workspace:T1"}))
GUS = Person("U2", "gus@studio.example", frozenset({"U2", "guests"}))


async def expand_one(identities: IdentityMap, person: Person) -> frozenset[str]:
    (principals,) = await identities.expand_people([person])
    return principals


async def test_an_address_gives_itself_and_googles_names_and_a_guest_belongs_to_no_domain() -> None:
    ada, gus = await IdentityMap([EmailIdentitySource()]).expand_people([ADA, GUS])
    assert ada - ADA.principals == {"ada@company.com", "drive:user:ada@company.com", "drive:domain:company.com"}
    assert gus - GUS.principals == {"gus@studio.example", "drive:user:gus@studio.example"}


@pytest.mark.parametrize("email", ["", "ada", "a@b@company.com", "Ada@company.com", "a da@company.com", "@company.com"])
async def test_what_is_no_address_gives_nothing(email: str) -> None:
    person = Person("U1", email, ADA.principals)
    assert await expand_one(IdentityMap([EmailIdentitySource()]), person) == person.principals


async def test_a_source_sees_what_earlier_ones_found() -> None:
    first, second = Directory("first"), Directory("second")
    first.held = {"U1": frozenset({"confluence:user:ada"})}
    await IdentityMap([first, second]).expand_people([ADA])
    ((person,),) = second.asked
    assert person.principals == ADA.principals | {"confluence:user:ada"}


async def test_a_lost_group_counts_within_a_minute_and_only_expired_people_are_looked_up() -> None:
    clock, directory = Clock(), Directory()
    identities = IdentityMap([directory], now=clock)
    directory.held = {"U1": frozenset({"board"})}
    assert "board" in await expand_one(identities, ADA)
    directory.held = {}
    clock.now += 30
    await identities.expand_people([ADA, GUS])
    assert directory.asked[1:] == [[GUS]]
    clock.now += 21
    assert TTL_S < 60
    assert "board" not in await expand_one(identities, ADA)


async def test_a_person_who_becomes_a_guest_is_looked_up_again() -> None:
    identities = IdentityMap([EmailIdentitySource()])
    await identities.expand_people([ADA])
    demoted = Person(ADA.id, ADA.email, frozenset({"U1", "guests"}))
    assert "drive:domain:company.com" not in await expand_one(identities, demoted)


@pytest.mark.parametrize("fault", ["fails", "hangs"])
async def test_a_failure_takes_principals_away_is_counted_and_logged_without_addresses(fault: str) -> None:
    clock, broken, working = Clock(), Directory("broken"), Directory("working")
    identities = IdentityMap([broken, working], now=clock, deadline_s=0.05)
    broken.held, working.held = {"U1": frozenset({"board"})}, {"U1": frozenset({"staff"})}
    setattr(broken, fault, True)
    with capture_logs() as logs:
        assert await expand_one(identities, ADA) == ADA.principals | {"staff"}
    assert identities.failures == {"broken": 1}
    assert "ada@" not in str(logs)
    await identities.expand_people([GUS])
    assert len(broken.asked) == 1, "a source that fails is left alone for a moment"
    setattr(broken, fault, False)
    clock.now += 6
    assert "board" in await expand_one(identities, ADA)


async def test_a_large_audience_asks_only_sources_that_answer_in_bulk() -> None:
    single, bulk = Directory("single"), Directory("bulk", in_bulk=True)
    single.held, bulk.held = {"U1": frozenset({"one"})}, {"U1": frozenset({"many"})}
    identities = IdentityMap([single, bulk])
    crowd = [ADA, *(Person(f"U{n}", "", frozenset({f"U{n}"})) for n in range(100, 100 + MAX_PEOPLE))]
    expanded = await identities.expand_people(crowd)
    assert expanded[0] == ADA.principals | {"many"}
    assert not single.asked
    assert "one" in await expand_one(identities, ADA)


@pytest.mark.parametrize("principal", ["*", "guests", "world", "workspace:T1", "C034EF5GH", "C1\x1fboard", ""])
async def test_only_the_chat_says_who_is_a_member(principal: str) -> None:
    directory = Directory()
    directory.held = {"U2": frozenset({principal, "staff"})}
    identities = IdentityMap([directory])
    assert await expand_one(identities, GUS) == GUS.principals | {"staff"}
    assert identities.failures == {"directory": 1}


_NAMES = st.frozensets(st.sampled_from(["a", "b", "c", "d", "*", "guests", "world", "a\x1fb", "x@y.example"]))
_PEOPLE = st.sampled_from([f"U{n}" for n in range(4)])
_STEP = st.tuples(
    st.lists(st.tuples(st.dictionaries(_PEOPLE, _NAMES), st.booleans()), min_size=2, max_size=2),
    st.lists(_PEOPLE, unique=True),
    st.floats(0, 100),
)


@given(st.lists(_STEP, max_size=6))
async def test_nobody_gets_a_principal_that_no_source_gave_within_the_last_minute(
    steps: list[tuple[list[tuple[dict[str, frozenset[str]], bool]], list[str], float]],
) -> None:
    clock, sources = Clock(), [Directory("first"), Directory("second")]
    identities = IdentityMap(sources, now=clock)
    said: list[tuple[float, str, frozenset[str]]] = []
    for answers, asked, seconds in steps:
        clock.now += seconds
        for source, (held, fails) in zip(sources, answers, strict=True):
            source.held, source.fails = held, fails
            if not fails:
                said += [(clock.now, person, principals) for person, principals in held.items()]
        people = [Person(one, "", frozenset({one})) for one in asked]
        for person, principals in zip(people, await identities.expand_people(people), strict=True):
            given_lately = frozenset[str]().union(
                *(names for at, who, names in said if who == person.id and clock.now - at < 60)
            )
            assert person.principals <= principals <= person.principals | given_lately
            assert principals.isdisjoint({"*", "guests", "world", "a\x1fb"})


async def test_only_principals_that_a_source_or_the_chat_gives_can_be_held() -> None:
    directory = Directory()
    directory.held = {"U1": frozenset({"board"})}
    possible = frozenset({"*", "guests", "U1", "S012", "ada@company.com", "drive:user:ada@company.com", "board"})
    impossible = frozenset({"old name", "confluence:group:x", "drive:group:staff@company.com"})
    identities = IdentityMap([EmailIdentitySource(), directory])
    assert await identities.find_holdable(possible | impossible) == possible


def test_the_sources_satisfy_the_protocol() -> None:
    assert isinstance(EmailIdentitySource(), IdentitySource)
