"""Reduce a sentence of an answer to its claim. Pure.

"According to passage 3, it is however free" claims that something is free. Preambles, connectives and agreement say
nothing about the documents. A pronoun stands for the subject of the sentence before.
"""

from __future__ import annotations

import re

_TEXT = r"(?:passages?|documents?|sources?|texts?|contexts?|documentation|information|excerpts?|articles?)"
_NUMBERS = r"(?:\s*(?:no\.?\s*)?[\[(]?\d+[\])]?(?:\s*(?:,|and|&)\s*[\[(]?\d+[\])]?)*)?"
_THE_TEXT = rf"(?:(?:the|this|these)\s+)?(?:(?:provided|given|above)\s+)*{_TEXT}{_NUMBERS}"
_ZH_TEXT = r"(?:段落|文档|文件|资料|文章|文本|材料|来源|上下文)"
_AGREEMENT = (
    r"(?:yes|no|yep|nope|ok(?:ay)?|sure|certainly|of course|right|true|false|absolutely|correct|exactly|indeed|"
    r"(?:great|good) question|"
    r"(?:that's|that is|you are|you're) (?:right|correct)|thank you|thanks)\s*(?:[,.!;:—–]|-\s)+"
    r"|(?:是的?|不?对的?|没错|[你您]说得对|不是的?|不|好的|当然(?:可以)?|可以的?|不可以|不能)[，,。！!：:；;]+"
)
_PREAMBLE = (
    r"(?:according to|based on|as (?:stated|described|mentioned|noted|explained|shown|given) (?:in|by)|per|from|in)\s+"
    rf"{_THE_TEXT}(?:\s+(?:provided|given|above))?\s*[,:]"
    rf"|{_THE_TEXT}\s+(?:(?:also|clearly|explicitly)\s+)?"
    r"(?:states?|says?|mentions?|notes?|explains?|describes?|indicates?|specif(?:y|ies)|shows?|suggests?|tells? us)"
    r"\s*(?:that\b|[:,])"
    r"|it is (?:stated|mentioned|noted|said|clear|worth noting|important to note)(?: (?:in|by) [^,.]{1,40}?)? that\b"
    r"|the answer (?:to (?:your|the) question )?is(?: that\b|:)|to answer your question[,:]"
    rf"|(?:根据|依据|按照|基于|从)(?:所?提供的|给定的|上述|以上|上面的|这些|该|第|这[段篇份]?)?(?:{_ZH_TEXT}|内容|信息)"
    r"\s*[\[【]?\d*[\]】]?(?:[、和,]\s*\d+)*(?:的?(?:内容|信息|描述|说明|记载))?(?:来看|可知|可以看出|显示|所述)?[，,：:]"
    rf"|(?:该|本|这[段篇份]|上述|以上)?(?:{_ZH_TEXT}|文)\s*\d*(?:中|里|内)?(?:还|也|明确|清楚地?)?"
    r"(?:提到|指出|说明|表示|写道|显示|提及|说)了?[，,：:]?"
)
_CONNECTIVE = (
    r"(?:however|additionally|moreover|furthermore|therefore|thus|hence|in addition|also|besides|finally|firstly|first|"
    r"second(?:ly)?|then|next|lastly|for example|for instance|in particular|specifically|as a result|consequently|"
    r"meanwhile|similarly|on the other hand|in other words|that is|overall|in (?:summary|short|conclusion)|so)\s*,"
    r"|(?:please )?note that\b|(?:so|but|and)\s(?!on\b|forth\b)"
    r"|(?:此外|另外|同时|因此|所以|然而|但是|不过|而且|并且|首先|其次|最后|然后|例如|比如|总之|综上所述|具体来说|"
    r"也就是说|换句话说|(?:需要|值得)注意的是|请注意)[，,：:]?"
)
_FRAME = re.compile(rf"(?:{_AGREEMENT}|{_PREAMBLE}|{_CONNECTIVE})[\s,，:：]*", re.IGNORECASE)
_ONLY_PREAMBLE = re.compile(rf"(?:{_PREAMBLE})[\s,，:：]*", re.IGNORECASE)
_ENDED = re.compile(r"[,，:：中里内]|that\b")
"""What 文件显示 needs to be a preamble and not the beginning of a name: 文件中显示, 文件显示，."""
_PRONOUN = re.compile(
    r"(?:it|they|this|these|that|those|he|she)\s(?=(?:is|are|was|were|can|could|may|might|must|will|would|should|has|have|"
    r"had|does|do|did|also|only|\w+s)\b)|(?:它们?|他们?|她们?|这(?=是|会|可|需|将))(?=\w)",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"(?P<en>[A-Z`\"][^,.;:!?]{0,60}?)\s(?:is|are|was|were|can|could|may|might|must|will|would|should|has|have|had|does|do|"
    r"did|allows?|uses?|supports?|provides?|needs?|requires?|returns?|takes?|contains?|runs?|reads?|writes?)\b"
    r"|(?P<zh>[㐀-鿿A-Za-z0-9_-]{2,16}?)(?:是|为(?!了)|会|可以|可|必须|应|须|需|能|将|有|支持|使用|提供|允许|不)"
)


def strip_frame(sentence: str) -> str:
    """Return a sentence without preambles, connectives and agreement at its start; "" if there is nothing else."""
    text = sentence.strip()
    while frame := _FRAME.match(text):
        text = text[frame.end() :]
    return text if any(char.isalnum() for char in text) else ""


def strip_preamble(sentence: str) -> str:
    """Return a sentence without "According to passage 3," at its start: the reader sees other numbers, as citations."""
    preamble = _ONLY_PREAMBLE.match(sentence)
    if not preamble or not _ENDED.search(preamble[0]):
        return sentence
    rest = sentence[preamble.end() :]
    is_word = rest.partition(" ")[0].isalpha()  # a name of a file or command keeps its letters
    return rest[:1].upper() + rest[1:] if is_word else rest


def find_subject(sentence: str) -> str:
    """Return the subject that a sentence begins with, "" if it has none or begins with a pronoun."""
    text = strip_frame(sentence)
    if _PRONOUN.match(text):
        return ""
    found = _SUBJECT.match(text)
    return (found["en"] or found["zh"]).strip() if found else ""


def resolve_pronoun(claim: str, subject: str) -> str:
    """Return the claim with a subject in place of the pronoun that it begins with."""
    pronoun = _PRONOUN.match(claim)
    if not pronoun or not subject:
        return claim
    glue = " " if pronoun[0][-1:].isspace() else ""
    return f"{subject}{glue}{claim[pronoun.end() :]}"
