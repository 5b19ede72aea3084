"""Tests of the rules that decide whether a message is meant for Kvasir."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.conversations.addressing import (
    SEVERAL,
    AddressingReason,
    Handling,
    ThreadFacts,
    add_talker,
    decide_handling,
    find_vocative,
)
from bot.slack.wire.events import MessageReceived
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from tests.slack.thread_script import CHINESE, ENGLISH

ME = "U0KVASIR"
ASKER = ThreadFacts(has_asked=True)

TEXTS = st.text(max_size=60) | st.sampled_from([step.text.removeprefix("@Kvasir ") for step in ENGLISH + CHINESE])
FACTS = st.builds(
    ThreadFacts,
    is_muted=st.booleans(),
    is_silent=st.booleans(),
    is_mention_only=st.booleans(),
    has_asked=st.booleans(),
    talkers=st.sampled_from(["", "U1", "U2", SEVERAL]),
    names=st.sampled_from([(), ("Bo",), ("Bo Okafor", "陈静")]),
)


def receive(text: str, *, mentions: bool = False, direct: bool = False, root: bool = False) -> MessageReceived:
    message = QuestionMessage(QuestionKey("T1", "C1", "2.0"), "2.0" if root else "1.0", "U1", text, is_direct=direct)
    return MessageReceived(message, is_addressed=mentions or direct, is_channel_shared=False)


def decide(text: str, facts: ThreadFacts | None = ASKER) -> Handling:
    return decide_handling(receive(text), ME, facts).handling


@given(TEXTS, FACTS | st.none())
def test_direct_message_is_always_answered(text: str, facts: ThreadFacts | None) -> None:
    assert decide_handling(receive(text, direct=True), ME, facts).handling is Handling.ANSWER


@given(TEXTS, FACTS | st.none(), st.booleans())
def test_mention_is_always_answered_or_a_command(text: str, facts: ThreadFacts | None, root: bool) -> None:  # noqa: FBT001
    decision = decide_handling(receive(f"<@{ME}> {text}", mentions=True, root=root), ME, facts)
    assert decision.handling is Handling.ANSWER or decision.reason is AddressingReason.COMMAND


@given(TEXTS, FACTS)
def test_message_outside_its_threads_is_left_alone(text: str, facts: ThreadFacts) -> None:
    assert decide_handling(receive(text), ME, None).handling is Handling.LEAVE
    assert decide_handling(receive(text, root=True), ME, facts).handling is Handling.LEAVE


@given(TEXTS, FACTS, st.sampled_from(["is_muted", "is_silent", "is_mention_only"]))
def test_thread_that_needs_a_mention_gets_no_answer_without(text: str, facts: ThreadFacts, rule: str) -> None:
    changes = {rule: True}
    assert decide(text, dataclasses.replace(facts, **changes)) is not Handling.ANSWER


@given(
    TEXTS,
    FACTS,
    st.sampled_from(
        ["<@U2>", "<@U2|bo>", "<!here>", "<!channel>", "<!everyone>", "<!subteam^S1>", "<!subteam^S1|@on>"]
    ),
)
def test_mention_of_others_makes_no_question(text: str, facts: ThreadFacts, mention: str) -> None:
    for message in (f"{mention} {text}", f"{text} {mention}"):
        assert decide(message, facts) is not Handling.ANSWER


@given(TEXTS, FACTS)
def test_talk_of_people_only_narrows_what_is_answered(text: str, facts: ThreadFacts) -> None:
    alone = dataclasses.replace(facts, has_asked=True, talkers="", names=())
    if decide(text, facts) is Handling.ANSWER:
        assert decide(text, alone) is Handling.ANSWER


@pytest.mark.parametrize("mark", ["?", "？"])
@given(TEXTS, FACTS)
def test_small_talk_has_no_question_mark(mark: str, text: str, facts: ThreadFacts) -> None:
    assert decide_handling(receive(f"{text}{mark}"), ME, facts).reason is not AddressingReason.SMALL_TALK


@pytest.mark.parametrize(
    "text",
    ["thanks!", "ok", "OK, great, thank you so much", "yes", ":+1:", ":tada: :tada:", "👍🏽", "🎉", "…", "", "haha",
     "谢谢你", "好的，明白了", "嗯嗯", "收到！", "太好了，谢谢", "sounds good, will do", "that’s great" ],
)  # fmt: skip
def test_small_talk_is_left_alone(text: str) -> None:
    assert decide_handling(receive(text), ME, ASKER).reason is AddressingReason.SMALL_TALK


@pytest.mark.parametrize(
    "text", ["for a website", "Berlin", "thanks, and for interns", "我说的是柏林", "the second one", "2027"]
)
def test_asker_may_go_on_without_a_question(text: str) -> None:
    assert decide(text) is Handling.ANSWER
    assert decide(text, ThreadFacts()) is Handling.LEAVE


def test_file_without_text_is_for_the_bot_if_its_sender_has_asked() -> None:
    received = receive("")
    with_file = dataclasses.replace(received, message=dataclasses.replace(received.message, files=1))
    assert decide_handling(with_file, ME, ASKER).handling is Handling.ANSWER
    assert decide_handling(with_file, ME, ThreadFacts()).handling is Handling.LEAVE


@pytest.mark.parametrize(
    "text",
    ["and in Berlin?", "what is the limit", "so, how long", "please list the forms", "for which office", "列出所有表格",
     "请解释一下", "柏林的呢", "Kvasir go on", "whats the limit", "Isn’t it 30 days", "anyone here who knows",
     "我想知道上限"],
)  # fmt: skip
def test_question_of_anybody_is_answered(text: str) -> None:
    assert decide(text, ThreadFacts()) is Handling.ANSWER
    assert decide(text, ThreadFacts(talkers="U2")) is Handling.ANSWER


@pytest.mark.parametrize(
    "text", ["can you send it?", "It is in the cupboard.", "你发给我吧？", "在柜子里。", "your form is old?"]
)
def test_people_who_write_to_each_other_are_left_alone(text: str) -> None:
    for talkers in ("U2", SEVERAL):
        assert (
            decide_handling(receive(text), ME, ThreadFacts(has_asked=True, talkers=talkers)).reason
            is AddressingReason.PEOPLE_TALK
        )


@pytest.mark.parametrize(
    ("text", "name"),
    [("Bo, can you look?", "bo"), ("hi Bo: look", "bo"), ("Bo Okafor, where is it?", "bo okafor"),
     ("陈静，你看看", "陈静"), ("So, how?", ""), ("你好，怎么报销？", ""), ("how do I do it?", ""),
     ("2026, or 2027?", "")],
)  # fmt: skip
def test_vocative_is_what_comes_before_a_comma(text: str, name: str) -> None:
    assert find_vocative(text) == name


def test_message_that_begins_with_the_name_of_a_person_is_for_that_person() -> None:
    facts = ThreadFacts(has_asked=True, names=("Bo Okafor", "陈静"))
    assert decide("Bo, how long does it take?", facts) is Handling.LEAVE
    assert decide("陈静，要多久？", facts) is Handling.LEAVE
    assert decide("Berlin, how long does it take?", facts) is Handling.ANSWER


@pytest.mark.parametrize(
    ("text", "handling"),
    [("mute", Handling.MUTE), ("Mute.", Handling.MUTE), ("静音", Handling.MUTE), ("unmute!", Handling.UNMUTE),
     ("取消静音。", Handling.UNMUTE), ("how do I mute a call?", Handling.ANSWER)],
)  # fmt: skip
def test_commands_are_whole_messages(text: str, handling: Handling) -> None:
    assert decide(text) is handling
    assert decide_handling(receive(f"<@{ME}> {text}", mentions=True), ME, None).handling is handling


def test_unmute_counts_in_a_muted_thread() -> None:
    assert decide("unmute", ThreadFacts(is_muted=True)) is Handling.UNMUTE


def test_talkers_are_nobody_one_person_or_several() -> None:
    assert add_talker("", "U1", AddressingReason.PEOPLE_TALK) == "U1"
    assert add_talker("U1", "U1", AddressingReason.PEOPLE_TALK) == "U1"
    assert add_talker("U1", "U2", AddressingReason.PEOPLE_TALK) == SEVERAL
    assert add_talker("", "U1", AddressingReason.FOR_OTHERS) == SEVERAL
    assert add_talker("U1", "U2", AddressingReason.SMALL_TALK) == "U1"
