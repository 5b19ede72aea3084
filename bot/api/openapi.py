"""The OpenAPI document of the API, made from the models of its requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bot.api.access import PERSON_HEADERS
from bot.api.document_profiles import PROFILE_KINDS
from bot.api.passages import FoundPassages
from bot.api.requests import AnswerRequest, ChatRequest, ProfileQuery, SearchRequest

_REF = "#/components/schemas/{model}"
_REFUSALS: Mapping[str, str] = {
    "400": "A field is wrong, or an application's key names no person.",
    "401": "The key is missing, unknown, revoked or has expired.",
    "403": "The key lacks the scope, or the person gets no answers.",
    "404": "There is no such profile.",
    "408": "The body took longer than 30 s.",
    "413": "The body has more than 1 MiB, or a file more than 20 MB.",
    "415": "The body is no JSON.",
    "429": "A limit is reached; Retry-After says when to ask again.",
    "500": "A defect of Kvasir.",
    "503": "Slack, the database or the store does not answer.",
    "504": "A lookup or search took longer than 20 s, or an answer 15 minutes.",
}
_UPLOADS: Mapping[str, tuple[str, str]] = {
    "extraction": ("Take values out of a file.", "Extraction"),
    "checklist": ("Check the statements of a list about a contract.", "Review"),
    "note": ("Write the note of a visit from its transcript.", "Note"),
}
"""What is done by profiles of each kind, and the schema of its result."""
_EVENTS = {
    "text/event-stream": {
        "schema": {
            "type": "object",
            "required": ["data"],
            "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
        }
    }
}


def build_document() -> dict[str, Any]:
    """Return the document."""
    models = [(one, "validation") for one in (AnswerRequest, SearchRequest, ChatRequest, FoundPassages)]
    _, definitions = models_json_schema(models, ref_template=_REF)  # type: ignore[arg-type]  # literals in a list
    schemas = definitions["$defs"] | {
        "Answer": _build_object("answer", "sources", "notices", "route", answer="string"),
        "Extraction": _build_object("file", "profile", "values", "dropped", "notices", "passages", file="string"),
        "Review": _build_object("file", "profile", "statements", "dropped", "notices", "passages", file="string"),
        "Note": _build_object("file", "profile", "sections", "notices", file="string"),
        "Completion": _build_object("id", "object", "created", "model", "choices", "citations", model="string"),
        "Models": _build_object("object", "data", object="string"),
        "Error": _build_object("error"),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kvasir", "version": "1", "description": "Answers from the documents of a company."},
        "security": [{"key": []}],
        "paths": {
            "/v1/answers": {"post": _build_post("Answer a question.", AnswerRequest, "Answer", streams=True)},
            "/v1/search": {"post": _build_post("Search the documents.", SearchRequest, "FoundPassages")},
            **{path: {"post": _build_upload(*_UPLOADS[kind])} for path, kind in PROFILE_KINDS.items()},
            "/v1/chat/completions": {
                "post": _build_post("Answer as OpenAI's API does.", ChatRequest, "Completion", streams=True)
            },
            "/v1/models": {
                "get": {
                    "summary": "List the one model.",
                    "responses": {
                        "200": _build_response("The model.", "Models"),
                        **_build_refusals("401", "500", "503"),
                    },
                }
            },
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "kvasir keys create"}},
            "schemas": schemas,
        },
    }


def _build_upload(summary: str, result: str) -> dict[str, Any]:
    """Return an operation whose body is a file, and whose query names it and the profile."""
    schema = ProfileQuery.model_json_schema()
    parameters = [
        {"name": name, "in": "query", "required": name in schema["required"], "schema": _keep_string(of_one)}
        for name, of_one in schema["properties"].items()
    ]
    body = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    operation = _build_post(summary, ProfileQuery, result)
    return operation | {
        "parameters": [*operation["parameters"], *parameters],
        "requestBody": {"required": True, "content": body},
        "responses": operation["responses"] | {"404": _build_response("There is no such profile.", "Error")},
    }


def _keep_string(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a text that may be left out: a query has no null."""
    limit = next((one["maxLength"] for one in (schema, *schema.get("anyOf", ())) if "maxLength" in one), None)
    return {"type": "string", "maxLength": limit, "description": schema.get("description", "")}


def _build_post(summary: str, body: type[BaseModel], result: str, *, streams: bool = False) -> dict[str, Any]:
    done = _build_response("The result.", result)
    if streams:
        done["content"] |= _EVENTS
    return {
        "summary": summary,
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
                "description": "With an application's key of --named-by header: the person who asks.",
            }
            for name in PERSON_HEADERS
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _REF.format(model=body.__name__)}}},
        },
        "responses": {"200": done, **_build_refusals(*_REFUSALS)},
    }


def _build_refusals(*statuses: str) -> dict[str, Any]:
    return {status: _build_response(_REFUSALS[status], "Error") for status in statuses}


def _build_response(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF.format(model=schema)}}}
    return {"description": description, "content": content}


def _build_object(*required: str, **types: str) -> dict[str, Any]:
    """Return the schema of an object with some fields, of which a few have a type."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {name: {"type": types[name]} if name in types else {} for name in required},
    }
