"""What ``[masking]`` says, and the lists of names that it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.answering.masking import DEFAULT_MASKING, Masking
from bot.answering.outgoing import release_to
from bot.config.settings import load_settings
from bot.errors import SettingsError


def load_masking(folder: Path, toml: str = "") -> Masking:
    (folder / "kvasir.toml").write_text(
        f'[[source]]\nname = "a"\nkind = "folder"\npath = "."\n{toml}', encoding="utf-8"
    )
    settings = load_settings({"KVASIR_HOME": str(folder)}, folder)
    live = settings.knowledge.live
    if live is not None:
        masking = settings.configuration.masking
        assert (live.recogniser, live.withholds_private) == (masking.recogniser, masking.private_words != "mask")
        assert settings.configuration.web.everywhere.private_words == masking.private_words
    return settings.configuration.masking


def test_everything_is_masked_by_default(tmp_path: Path) -> None:
    assert load_masking(tmp_path) == load_masking(tmp_path, "[masking]\n") == DEFAULT_MASKING
    assert release_to("exports", "call +49 30 1234567\x1b[0m", DEFAULT_MASKING) == "call …"
    assert release_to("exports", "host 10.1.2.3", DEFAULT_MASKING) == "host 10.1.2.3", "no secret to the company"


def test_each_way_can_keep_personal_data(tmp_path: Path) -> None:
    masking = load_masking(tmp_path, "[masking]\nfeedback = false\nlogs = false\n")
    assert release_to("feedback", "call +49 30 1234567\x1b[0m", masking) == "call +49 30 1234567"
    assert release_to("audit", "call +49 30 1234567", masking) == "call …"
    assert masking.log_recogniser is None


def test_the_web_table_follows(tmp_path: Path) -> None:
    masking = load_masking(tmp_path, '[web]\n[masking]\nweb = "ask"\nprompts = "mask"\n')
    assert (masking.private_words, masking.masks_prompts) == ("ask", True)


def test_names_come_from_the_list_and_the_file_of_people(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("# patients\nAnn Lee  # since May\n\n王伟\n", encoding="utf-8")
    (tmp_path / "people.csv").write_text("name,email,principals\nBo Xu,bo@a.example,staff\n", encoding="utf-8")
    masking = load_masking(
        tmp_path, '[masking]\nnames = "names.txt"\nrecord_numbers = [\'KH-\\d{6}\']\n[identity]\nfile = "people.csv"\n'
    )
    assert masking.recogniser.mask("Ann Lee, Bo Xu, 王伟 and Cy Ho: KH-123456") == "…, …, … and Cy Ho: …"


@pytest.mark.parametrize(
    ("toml", "names"),
    [
        ('web = "off"', ("web should be", '"mask", "block" or "ask"')),
        ('record_numbers = ["("]', ("record_numbers should be", "is no regular expression")),
        ("record_numbers = ['KH\\d+']", ("record_numbers should be", "{1,8} for +")),
        ('names = "missing.txt"', ("missing.txt cannot be read (FileNotFoundError)", "under names")),
        ("log = true", ("unknown key 'log'", "logs")),
    ],
)
def test_a_wrong_table_names_the_next_step(tmp_path: Path, toml: str, names: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as wrong:
        load_masking(tmp_path, f"[masking]\n{toml}\n")
    assert all(name in str(wrong.value) for name in names), wrong.value
