"""Combining the reports of several servers into one status."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.backends.remote import ServerReport, combine_reports
from engine.client.wire import ServedModel, parse_served_model
from engine.interfaces import EngineState, EngineStatus
from engine.notes import NoteCode
from engine.settings import EngineSettings

A, B, C = (f"http://{name}" for name in "abc")


def up(url: str, model: str = "m", *, on_cpu: bool = False) -> ServerReport:
    return ServerReport(
        EngineStatus(EngineState.READY, 1.0, (), url, model, on_cpu=on_cpu), ServedModel(model, 4096, None)
    )


def away(url: str, state: EngineState = EngineState.FAILED, detail: str = "Nothing answers.") -> ServerReport:
    return ServerReport(EngineStatus(state, notes=(NoteCode.ERROR.fill(text=detail),), url=url))


def test_one_server_gives_its_own_status() -> None:
    for sight in (up(A), away(A), away(A, EngineState.STARTING)):
        crowd = combine_reports({A: sight})
        assert crowd is not None
        assert crowd.status == sight.status


def test_status_is_unknown_until_all_reply_or_one_is_ready() -> None:
    assert combine_reports({A: None, B: None}) is None
    assert combine_reports({A: None, B: away(B)}) is None
    crowd = combine_reports({A: None, B: up(B)})
    assert crowd is not None
    assert (crowd.status.state, crowd.usable) == (EngineState.READY, (B,))


def test_some_servers_are_down() -> None:
    crowd = combine_reports({A: up(A), B: away(B), C: up(C)})
    assert crowd is not None
    assert crowd.usable == (A, C)
    assert crowd.status.detail == "2 of 3 engines answer. Nothing answers."
    notes = (NoteCode.SOME_ANSWER.fill(up=2, servers=3), NoteCode.ERROR.fill(text="Nothing answers."))
    assert crowd.status == EngineStatus(EngineState.DEGRADED, 1.0, notes, "http://a, http://c", "m")


def test_loading_server_gives_starting() -> None:
    crowd = combine_reports({A: away(A), B: away(B, EngineState.STARTING, "Loading.")})
    assert crowd is not None
    assert crowd.status == EngineStatus(EngineState.STARTING, notes=(NoteCode.ERROR.fill(text="Loading."),), url=B)


def test_most_common_model_wins() -> None:
    crowd = combine_reports({A: up(A, "x"), B: up(B, "y"), C: up(C, "y")})
    assert crowd is not None
    assert (crowd.usable, crowd.status.model) == ((B, C), "y")
    assert "http://a serves x and the others serve y" in crowd.status.detail


def test_the_slowest_server_counts() -> None:
    crowd = combine_reports({A: up(A), B: up(B, on_cpu=True)})
    assert crowd is not None
    assert crowd.status.on_cpu


def test_urls_are_normalized(tmp_path: Path) -> None:
    assert EngineSettings(tmp_path, tmp_path, url="http://a/v1/, http://b ,http://a").urls == (A, B)
    assert EngineSettings(tmp_path, tmp_path).urls == ()


@pytest.mark.parametrize(
    ("server", "people"),
    [
        ({}, None),
        ({"max_total_num_tokens": 65_536}, 8),
        ({"max_total_num_tokens": 1_000, "internal_states": []}, 1),
        ({"max_total_num_tokens": 1 << 20, "internal_states": [{"effective_max_running_requests_per_dp": 32}]}, 32),
        ({"max_total_num_tokens": 65_536, "dp_size": 4}, 32),
    ],
)
def test_estimates_concurrent_answers(server: dict[str, object], people: int | None) -> None:
    said = parse_served_model({"data": [{"id": "m", "max_model_len": 131_072}]}, {}, server)
    assert said.people == people
