"""Answers that a browser shows: a page in its frame, in the language and the colours of its reader."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from multinic.dashboard import catalogue, problems, render
from multinic.dashboard.filters import DRESS
from multinic.dashboard.gate import App, Scope
from multinic.dashboard.options import Options
from multinic.dashboard.pages import PAGES
from multinic.dashboard.problems import Problem

API = "/api/v1/"
FRAGMENT = "x-fragment"
"""The header of a script that wants a page without its frame."""
STATIC = {"dashboard.css": "text/css", "dashboard.js": "text/javascript", "icon.svg": "image/svg+xml"}
"""Our files, with their media types."""
_YEAR = 31536000  # seconds


class Answers:
    """Makes answers, and pages of what goes wrong."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def page(self, request: Request, template: str, data: Mapping[str, Any], status: int = 200) -> Response:
        """Return a page; a language or a theme that the query asks for is kept in a cookie."""
        language, theme = self.language(request), _theme(request)
        text = render.page(
            template,
            language,
            {
                **data,
                "prefix": self._options.prefix,
                "language": language,
                "theme": theme,
                "here": request.url.path,
                "query": [(k, v) for k, v in request.query_params.multi_items() if k not in DRESS],
                "urlencode": urlencode,
                "twin": self.twin(data["name"], request) if data.get("name") in PAGES else "",
                "fragment": FRAGMENT in request.headers,
                "static": addresses(),
            },
        )
        response = Response(text, status, media_type="text/html; charset=utf-8")
        for name, value in (("lang", language), ("theme", theme)):
            if name in request.query_params:
                path = self._options.prefix or "/"
                response.set_cookie(
                    f"multinic_{name}", value, _YEAR, path=path, httponly=True, samesite="lax"
                )
        return response

    def twin(self, name: str, request: Request) -> str:
        """Return the address at which the API has what is on a page."""
        query = request.url.query
        return f"{self._options.prefix}{API}{name}{f'?{query}' if query else ''}"

    @staticmethod
    def language(request: Request) -> str:
        """Return the language of a reader: that of the query, of a cookie, or of the browser."""
        given: str = request.query_params.get("lang") or request.cookies.get("multinic_lang", "")
        if given in catalogue.LANGUAGES:
            return given
        return catalogue.chosen(request.headers.get("accept-language", ""))

    def problem(self, request: Request, problem: Problem) -> Response:
        """Return why there is no page: as a document below /api, else as a page."""
        headers = {"retry-after": "5"} if problem.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        if problem is problems.TOKEN:
            headers["www-authenticate"] = 'Basic realm="multinic", charset="UTF-8"'
        if problem is problems.METHOD:
            headers["allow"] = "GET, HEAD"
        if request.url.path.startswith("/api/"):
            return JSONResponse(problem.document(), problem.status, headers)
        data = {"problem": problem, "name": "", "seconds": 5}
        response = self.page(request, "problem.html", data, problem.status)
        response.headers.update(headers)
        return response

    def say(self, scope: Scope, problem: Problem) -> App:
        """Return the same for the gate, which has no request."""
        answer: App = self.problem(Request(scope), problem)
        return answer


def _theme(request: Request) -> str:
    given = request.query_params.get("theme") or request.cookies.get("multinic_theme", "")
    return given if given in ("dark", "light") else "auto"


def static(name: str) -> bytes:
    """Return one of our files."""
    return files("multinic").joinpath(f"dashboard/static/{name}").read_bytes()


@cache
def addresses() -> Mapping[str, str]:
    """Return the addresses of our files: another content has another address, so that browsers keep each."""
    return {name: f"static/{name}?{hashlib.sha256(static(name)).hexdigest()[:12]}" for name in STATIC}
