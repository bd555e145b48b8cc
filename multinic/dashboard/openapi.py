"""The description of the API, made from what the program knows of its pages and lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multinic import __version__
from multinic.dashboard import past
from multinic.dashboard.filters import TEXT_MAX
from multinic.dashboard.listings import LISTINGS, SIZES, Listing
from multinic.dashboard.pages import PAGES

_OF_PAGES: Mapping[str, Sequence[tuple[str, Mapping[str, Any], bool]]] = {
    "node": [("name", {"type": "string", "minLength": 1, "maxLength": TEXT_MAX}, True)],
    "overview": [("span", {"type": "string", "enum": list(past.SPANS)}, False)],
    "subnet": [
        ("id", {"type": "string", "minLength": 1, "maxLength": TEXT_MAX}, True),
        ("after", {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}, False),
    ],
}
_PROBLEMS = {
    "400": "The query cannot be meant",
    "401": "The token is missing",
    "404": "There is no such thing",
    "414": "The query is too long",
    "421": "It does not answer under this name",
    "503": "No database, or too many requests",
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {name: {"type": "string"} for name in ("code", "message", "hint")},
        }
    },
}


def document(prefix: str) -> dict[str, Any]:
    """Return the document of OpenAPI 3.1."""
    paths = {f"/{name}": _operation(name, page.about) for name, page in PAGES.items()}
    for name in LISTINGS:
        for kind, media in (("csv", "text/csv"), ("json", "application/json")):
            about = f"The whole filtered list of {name}, up to 200,000 rows"
            paths[f"/export/{name}.{kind}"] = _operation(name, about, media, of=f"export_{name}_{kind}")
    return {
        "openapi": "3.1.0",
        "info": {"title": "multinic dashboard", "version": __version__, "license": {"name": "MIT"}},
        "servers": [{"url": f"{prefix}/api/v1"}],
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR}},
    }


def _operation(name: str, about: str, media: str = "application/json", of: str = "") -> Mapping[str, Any]:
    schema = {"type": "object"} if media == "application/json" else {"type": "string"}
    error = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    problems = dict(_PROBLEMS)
    if of:
        problems["429"] = "Other exports are running"
    return {
        "get": {
            "operationId": of or name,
            "summary": about,
            "parameters": [
                {"name": word, "in": "query", "required": required, "schema": of_value, **_repeated(of_value)}
                for word, of_value, required in _parameters(name)
            ],
            "responses": {
                "200": {"description": about, "content": {media: {"schema": schema}}},
                **{status: {"description": words, **error} for status, words in problems.items()},
            },
        }
    }


def _repeated(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"style": "form", "explode": True} if schema.get("type") == "array" else {}


def _parameters(name: str) -> Sequence[tuple[str, Mapping[str, Any], bool]]:
    if name in LISTINGS:
        return [(word, schema, False) for word, schema in _of_list(LISTINGS[name]).items()]
    return _OF_PAGES.get(name, [])


def _of_list(listing: Listing) -> Mapping[str, Mapping[str, Any]]:
    text = {"type": "string", "maxLength": TEXT_MAX}
    orders = [sign + name for name in listing.orders for sign in ("", "-")]
    return {
        "q": text,
        "sort": {"type": "string", "enum": orders},
        "size": {"type": "integer", "enum": list(SIZES)},
        "columns": {"type": "array", "items": {"type": "string", "enum": list(listing.columns)}},
        **{name: {"type": "array", "items": text, "maxItems": 20} for name in listing.facets},
        "after": {"type": "string", "description": "From `next` of the answer before"},
        "before": {"type": "string", "description": "From `previous` of the answer before"},
    }
