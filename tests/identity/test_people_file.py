"""The file of people: what it gives, that changes count, and that a doubtful file gives nobody anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowledge.errors import IdentityError
from knowledge.identity.people_file import FileIdentitySource
from knowledge.interfaces.people import Person

ADA = Person("U012AB3CD", "ada@company.com", frozenset({"U012AB3CD", "*"}))
GUS = Person("U0GUS0005", "gus@studio.example", frozenset({"U0GUS0005", "guests"}))
TABLE = "email,slack,principals\nada@company.com,,board;confluence:user:5b10\n,U0GUS0005,project-x\n"


def write(folder: Path, text: str, name: str = "people.csv") -> FileIdentitySource:
    (folder / name).write_text(text, encoding="utf-8")
    return FileIdentitySource(folder / name)


async def find(source: FileIdentitySource, person: Person) -> frozenset[str]:
    return (await source.find_principals([person])).get(person.id, frozenset())


async def test_rows_name_people_by_address_or_slack_id(tmp_path: Path) -> None:
    source = write(tmp_path, TABLE)
    assert {"board", "confluence:user:5b10"} <= await find(source, ADA)
    assert "project-x" in await find(source, GUS)
    assert "board" not in await find(source, GUS)
    assert await find(source, Person("U9", "", frozenset({"U9"}))) == frozenset()
    assert await source.check_identities() == "2 people"


async def test_a_row_with_a_slack_id_is_for_that_account_alone_and_adds_its_address(tmp_path: Path) -> None:
    source = write(tmp_path, "Slack ID\tE-Mail\tGroups\nU0GUS0005\tada@company.com\tboard\n")
    assert await find(source, GUS) >= {"board", "ada@company.com", "drive:user:ada@company.com"}
    assert "drive:domain:company.com" not in await find(source, GUS), "a guest belongs to no domain"
    assert await find(source, ADA) == frozenset()


async def test_a_toml_file_says_the_same(tmp_path: Path) -> None:
    text = '[[person]]\nemail = "Ada@company.com"\nprincipals = ["All, of us", "Drive:Group:Staff@company.com"]\n'
    found = await find(write(tmp_path, text, "people.toml"), ADA)
    assert {"All, of us", "drive:group:staff@company.com"} <= found


async def test_an_export_of_scim_is_read_with_its_other_columns(tmp_path: Path) -> None:
    text = (
        "\ufeffuserName;displayName;active;groups\nada@company.com;Ada;TRUE;board\nada@company.com;Ada;true;staff\n"
        "svc;Robot;true;staff\ngus@studio.example;Gus;false;staff\n"
    )
    source = write(tmp_path, text)
    assert {"board", "staff"} <= await find(source, ADA)
    assert await find(source, GUS) == frozenset()
    assert await source.check_identities() == (
        "1 people, 1 rows without a Slack id or a valid e-mail address are not used, columns that are not used: "
        "displayName"
    )


async def test_an_inactive_row_wins_over_the_person_s_other_rows(tmp_path: Path) -> None:
    text = "email,slack,principals,active\nada@company.com,,board,\nada@company.com,,,no\n"
    assert await find(write(tmp_path, text), ADA) == frozenset()


async def test_the_names_of_the_file_can_be_held(tmp_path: Path) -> None:
    found = await write(tmp_path, TABLE).find_holdable(frozenset({"board", "project-x", "staff"}))
    assert found == {"board", "project-x"}


async def test_an_address_that_only_looks_like_another_is_none(tmp_path: Path) -> None:
    kim = Person("U1", "kim@company.com")
    text = "email,principals\n\N{KELVIN SIGN}im@company.com,board\n"
    assert await find(write(tmp_path, text), kim) == frozenset()


async def test_a_change_counts_at_once(tmp_path: Path) -> None:
    source = write(tmp_path, TABLE)
    assert "board" in await find(source, ADA)
    write(tmp_path, TABLE.replace("board", "staff"))
    assert not {"board"} & await find(source, ADA)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no column email"),
        ("name,principals\nada,board\n", "no column email"),
        ("email,mail,principals\na@b.example,,board\n", "two of its columns"),
        ("email,principals\nada@company.com,board,staff\n", "row 2 has 3 columns"),
        ("email,principals\nada@company.com\n", "row 2 has 1 columns"),
        ("email,principals\nada@company.com,boar", "may be incomplete"),
        ('email,principals\nada@company.com,"board\n', "not valid CSV"),
        ("email,principals\nada@company.com,*\n", "only Slack says"),
        ("email,principals\nada@company.com,workspace:T1\n", "only Slack says"),
        ("email,principals\nada@company.com,S0123AB45\n", "only Slack says"),
        ("slack,principals\nada,board\n", "U012AB3CD"),
        ("email,principals,active\nada@company.com,board,perhaps\n", "active should be"),
    ],
)
async def test_a_doubtful_file_gives_nobody_anything(tmp_path: Path, text: str, why: str) -> None:
    source = write(tmp_path, TABLE)
    await source.find_principals([ADA])
    write(tmp_path, text)
    with pytest.raises(IdentityError, match=r"people\.csv gives nobody any rights") as error:
        await source.find_principals([ADA])
    assert why in str(error.value)
    with pytest.raises(IdentityError):
        await source.check_identities()
    write(tmp_path, TABLE)
    assert "board" in await find(source, ADA)


@pytest.mark.parametrize(
    "text",
    [
        "[[person]\n",
        "people = []\n",
        '[person]\nemail = "a@b.example"\n',
        '[[person]]\nmail = "a@b.example"\n',
        '[[person]]\nemail = "a@b.example"\nprincipals = "board"\n',
        '[[person]]\nemail = "a@b.example"\nactive = "no"\n',
    ],
)
async def test_a_doubtful_toml_file_gives_nobody_anything(tmp_path: Path, text: str) -> None:
    with pytest.raises(IdentityError, match="gives nobody"):
        await write(tmp_path, text, "people.toml").find_principals([ADA])


async def test_a_missing_or_unreadable_file_names_the_next_step(tmp_path: Path) -> None:
    source = write(tmp_path, TABLE)
    await source.find_principals([ADA])
    (tmp_path / "people.csv").unlink()
    with pytest.raises(IdentityError, match=r"Check the file under \[identity\]"):
        await source.find_principals([ADA])
    (tmp_path / "people.csv").write_bytes(b"email,principals\n\xff@b.example,board\n")
    with pytest.raises(IdentityError, match="not UTF-8"):
        await source.find_principals([ADA])
