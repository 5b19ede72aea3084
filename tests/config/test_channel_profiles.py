"""A channel with a profile: what kvasir.toml may say of it, and what is refused at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.config.configuration import Configuration, read_configuration
from bot.errors import BotError, SettingsError
from bot.library_opening import find_guidance, open_guidance

_SOURCE = '[[source]]\nname = "drugs"\nkind = "folder"\npath = "drugs"\n'
_OTHER = '[[source]]\nname = "handbook"\nkind = "folder"\npath = "handbook"\n'
_MARKED = f'{_OTHER}{_SOURCE}kind_of = "guideline"\n'
_CHANNEL = '[[channel]]\nid = "C0PROJECT1"\nprofile = "{}"\n'


def _read(folder: Path, text: str) -> Configuration:
    (folder / "kvasir.toml").write_text(text, encoding="utf-8")
    return read_configuration(folder / "kvasir.toml", {})


def test_a_channel_with_only_a_profile_is_valid_and_confidential(tmp_path: Path) -> None:
    configuration = _read(tmp_path, _MARKED + _CHANNEL.format("decision-support"))
    assert configuration.confidential_channels == {"C0PROJECT1"}
    opened = open_guidance(configuration)
    assert opened["decision-support"].within == 'in:"drugs"'


def test_without_guidelines_no_profile_is_read(tmp_path: Path) -> None:
    (tmp_path / "profiles" / "broken").mkdir(parents=True)
    (tmp_path / "profiles" / "broken" / "profile.toml").write_text("kind =")
    assert open_guidance(_read(tmp_path, _SOURCE)) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (_MARKED + _CHANNEL.format("decision-suport"), "Did you mean “decision-support”"),
        (_MARKED + _CHANNEL.format("visit-note"), "is of kind note"),
        (_SOURCE + _CHANNEL.format("decision-support"), 'kind_of = "guideline"'),
        (_MARKED + _CHANNEL.format("decision-support") + 'search = "in:handbook"\n', "Remove search"),
    ],
)
def test_a_channel_that_cannot_use_its_profile_is_refused_at_the_start(tmp_path: Path, text: str, reason: str) -> None:
    configuration = _read(tmp_path, text)
    with pytest.raises(BotError) as raised:
        open_guidance(configuration)
    assert reason in str(raised.value)
    assert "[[channel]] C0PROJECT1" in str(raised.value)


@pytest.mark.parametrize("key", ['web = "on"', "unasked_per_hour = 2"])
def test_keys_that_contradict_a_profile_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(SettingsError, match="from guidelines alone"):
        _read(tmp_path, f"{_MARKED}{_CHANNEL.format('decision-support')}{key}\n")


def test_a_command_names_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--profile: "):
        find_guidance(_read(tmp_path, _MARKED), "decision")
