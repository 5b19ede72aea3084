"""Notes of visits: each sentence links to the lines that support it, and the others are left out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.answer import Answerer
from bot.answering.limits import Limits
from bot.answering.retrieval.retriever import Search
from bot.answering.support.interfaces import NewChecker, Verdict
from bot.messages.message import render_message
from bot.profiles.document_reader import read_document
from bot.profiles.notes.note import (
    NoteSection,
    build_note_json,
    find_lines,
    find_shortest,
    format_section,
    list_notices,
    read_note_rules,
    search_conversation,
    write_sections,
)
from bot.profiles.notes.polarity import is_contradicted, is_exchanged
from bot.profiles.notes.transcript import TranscriptError, Utterance, make_material, read_transcript
from bot.profiles.notes.writer import NoteWriter
from bot.profiles.profile import ProfileError, read_profile
from bot.profiles.registry import Profiles
from engine.errors import EngineUnavailable
from engine.interfaces import ContentDelta, Delta, StreamEnd
from engine.notes import NoteCode
from tests.answering.conftest import Room, ScriptedChecker, ScriptedEngine, words
from tests.engine.fakes import fake_sglang, ready_engine
from tests.growth import takes_linear_time
from tests.profiles.documents import SearchingLibrary

CONVERSATION = """[doctor] Good morning. What brings you here today?
[patient] My left knee has been hurting for three weeks,
mostly on stairs.

[doctor] Do you take any medicines?
[patient] I take 500 mg of metformin twice a day, and I am allergic to penicillin.
[doctor] Your blood pressure is 142 over 88. The left knee is swollen, and bending it hurts.
[patient] Is that bad?
[doctor] The x-ray of the knee shows no fracture. We start physiotherapy, and I see you again in six weeks.
"""


def test_a_transcript_is_read_by_its_lines() -> None:
    said = read_transcript(CONVERSATION)
    assert [(one.first, one.last, one.speaker) for one in said[:3]] == [
        (1, 1, "doctor"),
        (2, 3, "patient"),
        (5, 5, "doctor"),
    ]
    assert said[1].text.endswith("for three weeks, mostly on stairs.")
    named = read_transcript("Dr. Wu: How are you?\nMs Li：我很好。\nNotes follow")
    assert [(one.speaker, one.last) for one in named] == [("Dr. Wu", 1), ("Ms Li", 3)]


def test_a_timestamp_before_a_speaker_is_left_out() -> None:
    said = read_transcript("[00:00:01] Dr. Wu: How are you?\n[00:00:05] [patient] Well.\n[1:02] Ms Li：好。\n")
    assert [(one.speaker, one.text) for one in said] == [
        ("Dr. Wu", "How are you?"),
        ("patient", "Well."),
        ("Ms Li", "好。"),
    ]


def test_an_exchange_ends_without_its_first_speaker() -> None:
    lines = [f"[{'doctor' if n % 2 else 'patient'}] {'word ' * 20}" for n in range(60)]
    chunks = make_material(read_transcript("\n".join(["[nurse] Come in.", *lines])), "visit.txt").chunks
    assert max(len(chunk.text) for chunk in chunks) < 1_200
    assert sum(chunk.text.count("word word") for chunk in chunks) == 60 * 10


def test_a_question_in_chinese_keeps_its_answer() -> None:
    said = read_transcript("[医生] 你对青霉素过敏吗？\n[患者] 是的。\n[医生] 好。")
    assert find_lines("患者对青霉素过敏。", said) == "l. 1–2"


def test_a_long_monologue_is_cut_between_lines() -> None:
    lines = ["[doctor] Go on.", "[patient]", *(f"On day {n} the knee hurt again, mostly on stairs." for n in range(90))]
    said = read_transcript("\n".join(lines))
    assert max(len(one.text) for one in said) < 500
    assert [one.first for one in said][1:] == [one.last + 1 for one in said][:-1], "no line is left out"
    chunks = make_material(said, "visit.txt").chunks
    assert max(len(chunk.text) for chunk in chunks) < 2_500
    assert sum(chunk.text.count("On day") for chunk in chunks) == 90


def test_a_line_of_a_whole_conversation_is_refused() -> None:
    with pytest.raises(TranscriptError, match="Line 2 of the transcript has more than 10000 characters"):
        read_transcript("[doctor] Go on.\n[patient] " + "It hurts. " * 2_000)


@pytest.mark.parametrize("line", ["[a]\n", "[a]\n[b]\n", "[a] x\n[b] y\n", "[b] x\ny\n"])
def test_reading_a_transcript_takes_linear_time(line: str) -> None:
    def read(count: int) -> None:
        make_material(read_transcript("[first] Go on.\n" + line * count), "visit.txt")

    assert takes_linear_time(read, 2_000)


@given(st.lists(st.frozensets(st.sampled_from("abcde")), min_size=1, max_size=12))
def test_the_shortest_range_has_all_words(found: list[frozenset[str]]) -> None:
    whole = frozenset().union(*found)
    spans = [(start, end) for start in range(len(found)) for end in range(start + 1, len(found) + 1)]
    fitting = [(start, end) for start, end in spans if frozenset().union(*found[start:end]) == whole]
    assert find_shortest(found) == min(fitting, key=lambda span: (span[1] - span[0], span))


async def test_a_note_that_takes_too_long_keeps_what_was_written(tmp_path: Path) -> None:
    async with fake_sglang() as fake, ready_engine(fake.url, tmp_path / "home") as engine:
        fake.stream(asyncio.Event())
        library = SearchingLibrary()

        def create_answerer(search: Search) -> Answerer:
            return Answerer(search, engine, Room.new_checker, limits=replace(Limits(), unsupported="drop"))

        writer = NoteWriter(library, create_answerer, 0.05)
        document = await read_document(library, "visit.txt", CONVERSATION.encode())
        note = await writer.write(read_note_rules(Profiles(None).find_profile("visit-note")), document)
        await library.materials.close()
    assert note.sections == ()
    assert [render_message(one, "en") for one in list_notices(note)] == [
        "The model took too long and was stopped. Try again later, or split the document.",
        "The note is a draft. Read it against the lines of the conversation, correct it and sign it.",
    ]
    assert build_note_json(note)["sections"] == []


def test_a_file_without_speakers_is_refused() -> None:
    with pytest.raises(TranscriptError, match="no line begins with a speaker"):
        read_transcript("A letter\n\nto nobody.")


def test_every_line_is_in_one_exchange() -> None:
    material = make_material(read_transcript(CONVERSATION * 9), "visit.txt")
    assert len(material.chunks) > 3
    joined = "\n".join(chunk.text for chunk in material.chunks)
    assert joined.count("physiotherapy") == 9
    assert material.chunks[0].heading.startswith("l. 1–")
    assert len({chunk.id for chunk in material.chunks}) == len(material.chunks)


async def _write(script: Sequence[Delta | Exception]) -> list[str]:
    return [format_section(one, "en") for one in await _write_note(script)]


async def _write_note(
    script: Sequence[Delta | Exception], text: str = CONVERSATION, new_checker: NewChecker = Room.new_checker
) -> list[NoteSection]:
    rules = read_note_rules(Profiles(None).find_profile("visit-note"))
    said = read_transcript(text)
    index = await SearchingLibrary().index_material(make_material(said, "visit.txt"))
    limits = replace(Limits(), unsupported="drop")
    answerer = Answerer(search_conversation(index), ScriptedEngine(script), new_checker, limits=limits)
    return [one async for one in write_sections(rules, answerer, said, "en")]


async def test_lines_that_say_otherwise_are_no_support() -> None:
    first = "[doctor] Your blood pressure is 142 over 88 today.\n[patient] " + "I slept badly. " * 40
    text = f"{first}\n[doctor] Your blood pressure is 142 over 88, no, 150 over 95.\n[patient] Oh."
    checker = ScriptedChecker(other=Verdict("supported", (1,), (2,), 1.0))
    script = words("Your blood pressure is 142 over 88. [1]")
    section = (await _write_note(script, text, lambda _=None: checker))[0]
    (sentence,) = section.sentences
    assert {sentence.lines, sentence.otherwise} == {("l. 1",), ("l. 3",)}
    cited, opposed = sentence.lines[0], sentence.otherwise[0]
    assert f"- Your blood pressure is 142 over 88. [{cited}] ({opposed} says otherwise)" in format_section(
        section, "en"
    )


async def test_sentences_link_to_their_lines_and_others_are_left_out() -> None:
    script = words(
        "The left knee has been hurting for three weeks. [1] The patient takes 500 mg of metformin twice a day. "
        "The patient takes 850 mg of metformin. The patient smokes. The patient is allergic to aspirin."
    )
    sections = await _write(script)
    assert sections[0].startswith("## History\n\n- The left knee has been hurting for three weeks. [l. 2–3]")
    assert "500 mg of metformin twice a day. [l. 6]" in sections[0]
    assert "850" not in sections[0]
    assert "smokes" not in sections[0]
    assert "allergic to aspirin" not in sections[0]
    assert "3 sentences without support" in sections[0]
    assert "No sentence about this has support" in sections[1]  # nothing is said twice


async def test_a_sentence_that_denies_what_was_said_is_left_out() -> None:
    sections = await _write(words("The patient denies being allergic to penicillin. [1]"))
    assert "denies" not in sections[0]
    assert "1 sentence without support" in sections[0]


@pytest.mark.parametrize(
    ("said", "right", "wrong"),
    [
        ("[patient] I have had nausea.", "The patient reports nausea.", "Patient denies nausea."),
        ("[patient] I haven't had any nausea.", "Denies nausea.", "The patient has nausea."),
        ("[doctor] Any chest pain or fever?\n[patient] No.", "No chest pain, no fever.", "Reports chest pain."),
        ("[doctor] Do you smoke?\n[patient] Yeah, a bit.", "The patient smokes.", "The patient does not smoke."),
        ("[doctor] you had no fever right?\n[patient] no", "Without fever.", "The patient had fever."),
        ("[patient] no cough but i have a fever", "Fever without cough.", "Cough without fever."),
        ("[patient] I have a fever, but no cough.", "Denies cough, has a fever.", "Denies fever and cough."),
        ("[doctor] no swelling, no fracture, normal pulse", "Normal pulse, no fracture.", "Fracture with swelling."),
        ("[doctor] Any fever or chills?\n[patient] Nah.", "No fever.", "Patient reports fever and chills."),
        ("[doctor] Do you drink alcohol?\n[patient] Negative.", "Does not drink alcohol.", "Drinks alcohol."),
        ("[doctor] Do you smoke?\n[patient] I quit.", "The patient quit smoking.", "The patient smokes."),
        ("[doctor] Do you smoke?\n[patient] I used to.", "The patient used to smoke.", "The patient smokes."),
        ("[患者] 我有恶心，没有发烧。", "患者恶心，否认发烧。", "患者否认恶心。"),
        ("[医生] 有没有恶心？\n[患者] 没有。", "患者否认恶心。", "患者恶心。"),
        ("[患者] 我胸口不舒服。", "胸口不适。", "否认胸口不适。"),
    ],
)
def test_a_sentence_contradicts_what_was_only_said_otherwise(said: str, right: str, wrong: str) -> None:
    utterances = read_transcript(said)
    assert not is_contradicted(right, utterances)
    assert is_contradicted(wrong, utterances)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("[patient] My knee hurts, but my hip does not hurt.", "The hip does not hurt."),
        ("[patient] I can't climb stairs.", "The patient is unable to climb stairs."),
        ("[doctor] How is the nausea?\n[patient] No change.", "The patient has nausea."),
        ("[patient] I'm not sure about a rash.", "The patient may have a rash."),
        ("[patient] I cough.", "The patient denies fever."),
        ("[doctor] I give you ibuprofen.\n[patient] No problem.", "Ibuprofen is given."),
    ],
)
def test_a_sentence_is_kept_where_either_may_be_meant(said: str, sentence: str) -> None:
    assert not is_contradicted(sentence, read_transcript(said))


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (EngineUnavailable(NoteCode.NO_SERVER.fill(url="http://gpu")), "The answer was cut off. The engine"),
        (StreamEnd("length"), "The answer was cut off because it reached the maximum length."),
    ],
)
async def test_a_section_that_broke_off_says_so(end: Delta | Exception, reason: str) -> None:
    said = "The left knee has been hurting for three weeks. [1] It hurts mostly on stairs. [1] The patient is all"
    sections = await _write([ContentDelta(said), end])
    assert "- The left knee has been hurting for three weeks. [l. 2–3]\n- It hurts mostly" in sections[0]
    assert f"\n\n_{reason}" in sections[0]


MEDICINES = "[doctor] Which medicines do you take?\n[patient] Metformin, 500 mg twice a day, for my diabetes. And I am\
 allergic to penicillin."
PLAN = "[doctor] We start physiotherapy twice a week, and you take ibuprofen 400 mg for ten days."
REST = "[doctor] Stop running for four weeks. I see you again in six weeks, and we measure your blood pressure."


@pytest.mark.parametrize(
    ("said", "right", "wrong"),
    [
        (MEDICINES, "He is allergic to penicillin.", "He is allergic to metformin."),
        (MEDICINES, "He takes metformin 500 mg twice a day.", "He takes penicillin 500 mg twice a day."),
        (PLAN, "Physiotherapy twice a week, and ibuprofen 400 mg for ten days.", "Ibuprofen 400 mg twice a week."),
        ("[doctor] Your blood pressure is 142 over 88.", "The blood pressure is 142 over 88.", "Pressure 88 over 142."),
        (REST, "Stop running for four weeks.", "Stop running for six weeks, and we see you in four weeks."),
        ("[医生] 你对青霉素过敏。服用二甲双胍。", "患者对青霉素过敏。", "患者对二甲双胍过敏。"),
    ],
)
def test_numbers_and_allergies_are_not_exchanged(said: str, right: str, wrong: str) -> None:
    utterances = read_transcript(said)
    assert not is_exchanged(right, utterances)
    assert is_exchanged(wrong, utterances)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("[doctor] Any allergies?\n[patient] Yes. Latex.", "Allergic to latex."),
        ("[patient] I have knee pain, and it began three weeks ago.", "Knee pain for three weeks."),
        (REST, "A return visit in six weeks."),
    ],
)
def test_other_words_for_the_same_are_no_exchange(said: str, sentence: str) -> None:
    assert not is_exchanged(sentence, read_transcript(said))


@pytest.mark.parametrize("part", ["2 pills of aspirin, ", "I am allergic to aspirin? ", "aspirin 1.5 mg and "])
def test_finding_exchanged_words_takes_linear_time(part: str) -> None:
    def read(count: int) -> None:
        is_exchanged("Allergic to aspirin, 2 pills.", [Utterance(1, 1, "patient", part * count)])

    assert takes_linear_time(read, 300)


async def test_a_model_that_fails_leaves_the_sections_empty() -> None:
    sections = await _write(words("I do not know."))
    assert [section.count("No sentence about this has support") for section in sections] == [1] * 4
    sections = await _write([EngineUnavailable(NoteCode.NO_SERVER.fill(url="http://gpu"))])
    assert all("The engine does not answer" in section and "has support" not in section for section in sections)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("", r"\[\[section\]\]"),
        ('[[section]]\ntitle = { en = "A" }\n', "questions of section 1"),
        ('[[section]]\ntitle = { zh = "A" }\nquestions = { en = "b" }\n', "title of section 1"),
        ('[[section]]\ntitle = { en = "A" }\nquestion = { en = "b" }\n', "Did you mean “questions”"),
    ],
)
def test_a_wrong_section_names_the_next_step(tmp_path: Path, table: str, reason: str) -> None:
    folder = tmp_path / "ward-note"
    folder.mkdir()
    (folder / "profile.toml").write_text(f'kind = "note"\n[title]\nen = "Note"\n{table}')
    with pytest.raises(ProfileError, match=reason):
        read_note_rules(read_profile(folder))


@pytest.mark.parametrize(
    ("sentence", "lines"),
    [
        ("The knee has been hurting for three weeks.", "l. 2–3"),
        ("The patient takes medicines.", "l. 5–6"),
        ("Left knee: swollen; pain on stairs.", "l. 2–7"),
    ],
)
def test_a_sentence_names_the_fewest_lines(sentence: str, lines: str) -> None:
    assert find_lines(sentence, read_transcript(CONVERSATION)[:5]) == lines
