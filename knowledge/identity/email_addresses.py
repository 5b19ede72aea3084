"""The principals of an e-mail address, which the chat has confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from knowledge.interfaces.people import Person, is_email


class EmailIdentitySource:
    """Gives people the principals of their e-mail addresses: the address itself, and Google's."""

    identity_name = "e-mail"
    answers_in_bulk = True
    namespace = ""

    async def find_principals(self, people: Sequence[Person], /) -> Mapping[str, frozenset[str]]:
        """Return the principals of each person with an e-mail address."""
        return {person.id: list_email_principals(person) for person in people if person.emails}

    async def find_holdable(self, principals: frozenset[str], /) -> frozenset[str]:
        """Return all addresses, and Google's names of people and domains."""
        return frozenset(one for one in principals if is_email(one) or one.startswith(("drive:user:", "drive:domain:")))

    async def check_identities(self) -> str:
        """Return that nothing is needed."""
        return "from Slack profiles"


def list_email_principals(person: Person) -> frozenset[str]:
    """Return the principals of a person's addresses. Only a full member belongs to the address's domain."""
    emails = person.emails
    domains = {f"drive:domain:{email.rpartition('@')[2]}" for email in emails if person.is_member}
    return emails | {f"drive:user:{email}" for email in emails} | domains
