"""The bodies of requests, checked by pydantic. ``bot.api.openapi`` publishes them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bot.api.answers import HISTORY_CHARACTERS, MOST_CHARACTERS, MOST_HISTORY
from bot.api.errors import ApiError

_Body = TypeVar("_Body", bound=BaseModel)
_MOST_MESSAGES: Final = 200
_UNSUPPORTED_FIELDS: Final = {
    "tools": "Kvasir calls no tools of a client",
    "functions": "Kvasir calls no functions of a client",
    "n": "Kvasir gives one answer",
    "response_format": "Kvasir answers in Markdown",
}
"""Fields of OpenAI that are refused, and why."""

_User = Annotated[
    str | None,
    Field(max_length=400, description="With a key of --named-by body: the person who asks, by e-mail or Slack id."),
]
_Profile = Annotated[
    str | None,
    Field(
        max_length=40, description="A profile of kind guidance: only its guidelines answer, with their warnings first."
    ),
]
_QuestionText = Annotated[str, Field(max_length=MOST_CHARACTERS)]
_EarlierText = Annotated[str, Field(max_length=HISTORY_CHARACTERS)]


def _read_whole(value: object) -> object:
    """Return a whole number as such: in JSON, 8.0 is one, too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_One = Annotated[int, Field(ge=1, le=1), BeforeValidator(_read_whole)]
_Limit = Annotated[int, Field(ge=1, le=20), BeforeValidator(_read_whole)]


class _Request(BaseModel):
    """A body of Kvasir's own: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    user: _User = None


class AnswerRequest(_Request):
    """A question."""

    question: _QuestionText = Field(description="The question, in English or Chinese.")
    history: list[_EarlierText] = Field(
        default_factory=list, max_length=MOST_HISTORY, description="The earlier questions, the oldest first."
    )
    stream: bool = Field(False, description="Whether the answer comes as server-sent events.")
    reasoning: bool = Field(False, description="Whether the model's reasoning is returned; nothing checks it.")
    web: bool = Field(False, description="Whether the web is searched, too, where the operator allows it.")
    profile: _Profile = None


class SearchRequest(_Request):
    """A search."""

    query: _QuestionText = Field(description="What to search for; filters such as in:handbook narrow it.")
    limit: _Limit = Field(8, description="The most passages.")


class ProfileQuery(_Request):
    """The query of a profile's use, whose body is the file."""

    profile: str = Field(max_length=40, description="The name of a profile, as `kvasir profiles` lists it.")
    file: str = Field(max_length=400, description="The file's name, whose ending says its format: contract.pdf.")


class _Lenient(BaseModel):
    """A body of OpenAI's: what Kvasir does not know is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, hide_input_in_errors=True)


class TextPart(_Lenient):
    """A part of a message; only texts are read."""

    type: Literal["text"]
    text: str


class SentMessage(_Lenient):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """Return the whole text."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class TextFormat(_Lenient):
    """The only format of answers."""

    type: Literal["text"]


class ChatRequest(_Lenient):
    """OpenAI's request for a chat completion."""

    messages: list[SentMessage] = Field(
        min_length=1,
        max_length=_MOST_MESSAGES,
        description="The last message of role user is the question, and earlier ones are its history.",
    )
    model: str = Field("kvasir", description="Ignored: there is one model.")
    stream: bool | None = False
    user: _User = None
    n: _One | None = Field(None, description=f"{_UNSUPPORTED_FIELDS['n']}.")
    tools: list[Any] | None = Field(None, max_length=0, description=f"{_UNSUPPORTED_FIELDS['tools']}.")
    functions: list[Any] | None = Field(None, max_length=0, description=f"{_UNSUPPORTED_FIELDS['functions']}.")
    response_format: TextFormat | None = Field(None, description=f"{_UNSUPPORTED_FIELDS['response_format']}.")
    include_reasoning: bool = Field(False, description="Whether the reasoning is returned with the last part.")
    profile: _Profile = None


_FIELDS: Final = frozenset(
    name
    for model in (AnswerRequest, SearchRequest, ProfileQuery, ChatRequest, SentMessage, TextPart, TextFormat)
    for name in model.model_fields
)


async def read_body(request: web.Request, model: type[_Body]) -> _Body:
    """Return the body of a request.

    Raises:
        ApiError: it is no JSON, or a field is wrong; the text names the field, and never repeats its value.

    """
    if request.content_type != "application/json":
        text = "The body should be JSON. Send “Content-Type: application/json”."
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text, "unsupported_media_type")
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        raise _explain_refusal(error) from None


def read_query(request: web.Request, model: type[_Body]) -> _Body:
    """Return the query of a request.

    Raises:
        ApiError: a parameter is wrong or comes twice; the text names it, and never repeats its value.

    """
    if len(request.query) != len(set(request.query)):
        raise ApiError(HTTPStatus.BAD_REQUEST, "A parameter comes twice. Send each once.", "invalid_query")
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise _explain_refusal(error) from None


def _explain_refusal(error: ValidationError) -> ApiError:
    """Return the error for a wrong field: of several alternatives, the one that fits best."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    found = max(problems, key=lambda one: len(one["loc"]))
    path = [str(part) for part in found["loc"] if isinstance(part, int) or part in _FIELDS]
    if not found["loc"]:
        return ApiError(HTTPStatus.BAD_REQUEST, f"The body is no valid request: {found['msg']}.", "invalid_body")
    if path and path[0] in _UNSUPPORTED_FIELDS:
        text = f"“{path[0]}” is not supported: {_UNSUPPORTED_FIELDS[path[0]]}. Leave it out."
        return ApiError(HTTPStatus.BAD_REQUEST, text, "unsupported_parameter", param=path[0])
    name = ".".join(path) or "an unknown field"
    return ApiError(HTTPStatus.BAD_REQUEST, f"{name}: {found['msg']}.", "invalid_field", param=name)
