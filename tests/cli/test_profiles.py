"""``kvasir profiles``, and the folders that it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.profiles import registry
from bot.profiles.profile import ProfileError, read_profile
from bot.profiles.registry import Profiles, load_profile
from tests.e2e.conftest import Place

_GOOD = 'kind = "extraction"\n[title]\nen = "Lease"\nzh = "租约"\n'


def _write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "profile.toml").write_text(text, encoding="utf-8")
    return folder


def test_a_folder_is_read_with_its_titles(tmp_path: Path) -> None:
    profile = read_profile(_write(tmp_path / "lease", _GOOD + '[fields]\nx = "y"\n'))
    assert (profile.name, profile.kind, profile.find_title("zh")) == ("lease", "extraction", "租约")
    assert profile.table == {"fields": {"x": "y"}}


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("Lease", _GOOD, "small letters"),
        ("lease", "kind = ", "not valid TOML"),
        ("lease", '[title]\nen = "Lease"\n', "kind is missing"),
        ("lease", 'kind = "extraction"\n', "[title] should have"),
        ("lease", 'kind = "extraction"\n[title]\nzh = "租约"\n', "[title] should have"),
        ("lease", 'kind = "extraction"\n[title]\nen = "Lease"\nxx = "?"\n', "[title] should have"),
    ],
)
def test_a_wrong_folder_names_the_next_step(tmp_path: Path, name: str, text: str, reason: str) -> None:
    with pytest.raises(ProfileError) as raised:
        read_profile(_write(tmp_path / name, text))
    assert reason in str(raised.value)


def test_a_profile_reads_only_files_of_its_folder(tmp_path: Path) -> None:
    profile = read_profile(_write(tmp_path / "lease", _GOOD))
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (tmp_path / "lease" / "link.txt").symlink_to(tmp_path / "secret.txt")
    for name in ("../secret.txt", "link.txt"):
        with pytest.raises(ProfileError, match="outside the profile's folder"):
            profile.read_text(name)
    with pytest.raises(ProfileError, match="cannot be read"):
        profile.read_text("missing.txt")


def test_the_operators_profile_wins_over_one_that_comes_with_kvasir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "SHIPPED", _write(tmp_path / "shipped" / "lease", _GOOD).parent)
    own = _write(tmp_path / "own" / "lease", _GOOD.replace("Lease", "Our lease")).parent
    assert [one.find_title("en") for one in Profiles(own).list_profiles()] == ["Our lease"]
    assert [one.find_title("en") for one in Profiles(None).list_profiles()] == ["Lease"]
    with pytest.raises(ProfileError, match="Did you mean “lease”"):
        Profiles(own).find_profile("leese")


def test_every_profile_that_comes_with_kvasir_loads() -> None:
    right, errors = Profiles(None).check_profiles()
    assert errors == []
    assert "contract" in [one.name for one in right]


def test_a_wrong_profile_costs_only_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path / "broken", "kind = ")
    _write(tmp_path / "contract", _GOOD + "[words]\nx = 3\n")
    profiles = Profiles(tmp_path)
    assert {one.name for one in profiles.list_profiles("transactions")} == {"money-laundering"}
    assert set(profiles.load_profiles("extraction")) == {"kyc", "medical-record"}
    assert str(tmp_path / "contract") in capsys.readouterr().out
    right, errors = profiles.check_profiles()
    assert {"kyc", "money-laundering"} <= {one.name for one in right}
    for name, error in zip(("broken", "contract"), errors, strict=True):
        assert str(tmp_path / name / "profile.toml") in str(error)


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="there is no kind 'nonsense'"):
        load_profile(read_profile(_write(tmp_path / "lease", _GOOD.replace("extraction", "nonsense"))))


@pytest.mark.slow
@pytest.mark.timeout(720)
async def test_a_profile_is_copied_to_be_edited(place: Place, tmp_path: Path) -> None:
    _write(tmp_path / "profiles" / "lease", _GOOD)
    status, _, err = await place.command("profiles", "--copy", "lease", "../elsewhere")
    assert (status, "no name of a profile" in err) == (1, True)
    assert (await place.json("profiles", "--copy", "lease", "our-lease"))["copied"].endswith("profiles/our-lease")
    assert (tmp_path / "profiles" / "our-lease" / "profile.toml").read_text(encoding="utf-8") == _GOOD
    status, _, err = await place.command("profiles", "--copy", "lease", "our-lease")
    assert (status, "exists already" in err) == (1, True)
    status, out, err = await place.command("profiles")
    assert (status, "medical-record" in out) == (1, True)
    assert [name for name in ("/lease/", "/our-lease/") if name in err] == ["/lease/", "/our-lease/"]
