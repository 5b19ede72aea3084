"""The variables of text recognition and of a vision model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.app import open_vision_model
from bot.config import settings as module
from bot.config.environment import list_secret_variables
from bot.config.settings import list_plain_variables, load_settings
from bot.errors import SettingsError
from bot.security.egress import list_egress

VISION = {
    "KVASIR_VISION_URL": "https://gpu-3/v1/",
    "KVASIR_VISION_MODEL": "Qwen/Qwen2.5-VL-7B-Instruct",
    "KVASIR_VISION_API_KEY": "sk-vision-5ecret",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "kvasir.toml").write_text('[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\n')
    return tmp_path


def test_pictures_are_neither_read_nor_seen_by_default(place: Path) -> None:
    settings = load_settings({}, place)
    assert (settings.knowledge.recognises_text, settings.vision) == (False, None)
    assert load_settings({"KVASIR_OCR": "on"}, place).knowledge.recognises_text


def test_text_recognition_without_its_packages_names_the_next_step(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="make setup KVASIR_OCR=on"):
        load_settings({"KVASIR_OCR": "on"}, place)
    assert not load_settings({}, place).knowledge.recognises_text


def test_the_vision_model_is_listed_and_its_key_is_a_secret(place: Path) -> None:
    settings = load_settings(VISION, place)
    assert settings.vision is not None
    assert (settings.vision.address.url, settings.vision.model) == ("https://gpu-3", "Qwen/Qwen2.5-VL-7B-Instruct")
    assert "sk-vision-5ecret" in settings.secrets
    assert "sk-vision-5ecret" not in repr(settings)
    assert "KVASIR_VISION_API_KEY" in list_secret_variables()
    assert list_plain_variables(VISION, settings)["KVASIR_VISION_API_KEY"] == ""
    assert ("gpu-3", "443", "the vision model") in {
        (one.host, one.port, one.reason) for one in list_egress(settings, {})
    }


@pytest.mark.parametrize(
    ("url", "prompts", "is_open"),
    [("https://gpu-3", "allow", True), ("https://gpu-3", "mask", False), ("http://127.0.0.1:30000", "mask", True)],
)
async def test_with_masked_prompts_no_other_host_gets_a_picture(
    place: Path, url: str, prompts: str, *, is_open: bool
) -> None:
    with (place / "kvasir.toml").open("a") as file:
        file.write(f'[masking]\nprompts = "{prompts}"\n')
    library: Any = SimpleNamespace(materials=SimpleNamespace(keeps_pictures=False))
    async with open_vision_model(load_settings({**VISION, "KVASIR_VISION_URL": url}, place), library) as model:
        assert (model is not None, library.materials.keeps_pictures) == (is_open, is_open)
