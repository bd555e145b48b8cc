"""The application: from a path to its page as HTML or JSON, to an export, a probe, a file of ours."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from multinic import __version__
from multinic.dashboard import export, filters, fleet, metrics, openapi, pages, problems, statements
from multinic.dashboard.answers import API, FRAGMENT, STATIC, Answers, static
from multinic.dashboard.cache import Cache
from multinic.dashboard.filters import Filter
from multinic.dashboard.gate import Gate
from multinic.dashboard.listings import LISTINGS
from multinic.dashboard.options import Options
from multinic.dashboard.pages import PAGES, Asking, Data
from multinic.dashboard.pool import Busy, Pool
from multinic.database.connection import Missing
from multinic.database.session import Session
from multinic.host.log import Log
from multinic.values.errors import MultinicError

FRESH = 5.0
"""Seconds for which an answer of the database serves all readers."""
DELETED_FRESH = 60.0
"""Seconds for which it is remembered which nodes the controller has deleted."""
EXPORTS_MAX = 2
"""Exports at a time."""
_YEAR = "public, max-age=31536000, immutable"


class Dashboard:
    """What answers."""

    def __init__(self, options: Options, log: Log) -> None:
        self._options, self._log = options, log
        self._answers = Answers(options)
        self._pool, self._cache = Pool(options.database), Cache()
        self._exports = 0
        self._is_down = False
        self._deleted: Sequence[str] = ()
        self._deleted_until = 0.0
        routes = [
            Route("/livez", self._alive),
            Route("/readyz", self._ready),
            Route("/metrics", self._metrics),
            Route("/static/{name}", self._static),
            Route("/jump", self._jump),
            Route(f"{API}openapi.json", self._openapi),
            Route(f"{API}export/{{name}}.{{kind}}", self._export),
            Route(f"{API}{{page}}", self._json),
            Route("/", self._html),
            Route("/{page}", self._html),
        ]
        handlers = {HTTPException: self._no_page, MultinicError: self._problem}
        handlers |= dict.fromkeys((filters.Invalid, pages.NotThere, Missing, Busy), self._problem)
        handlers[Exception] = self._unexpected  # the gate logs it
        inner = Starlette(routes=routes, exception_handlers=handlers)
        self.gate = Gate(inner, self._answers.say, options, log)

    def close(self) -> None:
        """Ask nothing more."""
        self._pool.close()

    # Pages.

    async def _html(self, request: Request) -> Response:
        name = request.path_params.get("page", "overview")
        if name not in PAGES or request.url.path == "/overview":
            return self._answers.problem(request, problems.NO_PAGE)
        data = await self._data(name, request)
        fragment = FRAGMENT in request.headers
        tag = _tag(data, self._answers.language(request), str(request.url.query))
        if fragment and request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag, "x-as-of": data["as_of"]})
        page = PAGES[name]
        more = {**data, "name": name, "seconds": page.seconds, **self._of_list(name, request)}
        response = self._answers.page(request, page.template, more)
        response.headers["etag"] = tag
        response.headers["link"] = (
            f'<{self._answers.twin(name, request)}>; rel="alternate"; type="application/json"'
        )
        return response

    async def _json(self, request: Request) -> Response:
        name = request.path_params["page"]
        if name not in PAGES:
            return self._answers.problem(request, problems.NO_PAGE)
        return JSONResponse(await self._data(name, request))

    async def _data(self, name: str, request: Request) -> Data:
        pairs = [(k, v) for k, v in request.query_params.multi_items() if k not in filters.DRESS]
        make = partial(self._asked, PAGES[name].make, pairs)
        try:
            found: Data = await self._cache.ask((name, tuple(pairs)), FRESH, make)
        except MultinicError as e:
            self._note(e)
            raise
        self._note(None)
        return found

    async def _asked(self, make: Callable[[Asking], Any], pairs: filters.Pairs) -> Any:
        return await self._pool.ask(lambda session: make(self._asking(session, pairs)))

    def _asking(self, session: Session, pairs: filters.Pairs) -> Asking:
        """Return what a page is made from; which nodes are deleted is looked up once a minute."""
        if time.monotonic() >= self._deleted_until and not self._options.database.ignore_deleted_at:
            self._deleted = fleet.deleted_nodes(session)
            self._deleted_until = time.monotonic() + DELETED_FRESH
        return Asking(session, self._options, pairs, self._deleted)

    def _of_list(self, name: str, request: Request) -> Mapping[str, Any]:
        if name not in LISTINGS:
            return {}
        return {"listed": filters.parse(LISTINGS[name], request.query_params.multi_items())}

    async def _jump(self, request: Request) -> Response:
        path = await self._asked(pages.jump, request.query_params.multi_items())
        return RedirectResponse(f"{self._options.prefix}{path}", 303)

    async def _export(self, request: Request) -> Response:
        name, kind = request.path_params["name"], request.path_params["kind"]
        if name not in LISTINGS or kind not in ("csv", "json"):
            return self._answers.problem(request, problems.NO_PAGE)
        listed = filters.parse(LISTINGS[name], request.query_params.multi_items())
        if self._exports >= EXPORTS_MAX:
            return self._answers.problem(request, problems.EXPORTS)
        first = await self._read(listed)  # an error shall be an answer of its own, not the end of a file
        lines = (export.as_csv if kind == "csv" else export.as_json)(
            listed, _beginning_with(first, self._read)
        )
        media = "text/csv; charset=utf-8" if kind == "csv" else "application/json"
        disposition = {"content-disposition": f'attachment; filename="{name}.{kind}"'}
        return StreamingResponse(self._counted(lines), media_type=media, headers=disposition)

    async def _counted(self, lines: Any) -> Any:
        self._exports += 1
        try:
            async for line in lines:
                yield line
        finally:
            self._exports -= 1

    async def _read(self, listed: Filter) -> tuple[list[statements.Row], Filter | None]:
        wide = replace(listed, size=export.AT_ONCE)

        def read(asking: Asking) -> statements.Page:
            return statements.page(asking.database, wide, asking.words)

        found: statements.Page = await self._asked(read, ())
        return found.rows, replace(wide, after=found.last, before=()) if found.last else None

    # What is not of the fleet.

    async def _alive(self, _: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def _ready(self, _: Request) -> Response:
        try:
            await self._cache.ask("ready", FRESH, lambda: self._pool.ask(statements.now))
        except (MultinicError, Busy, Missing):
            return PlainTextResponse("the database cannot be read\n", HTTPStatus.SERVICE_UNAVAILABLE)
        return PlainTextResponse("ready\n")

    async def _metrics(self, _: Request) -> Response:
        text = metrics.exposition(self.gate, reads=self._pool.reads, up=not self._is_down)
        return PlainTextResponse(text, media_type=metrics.MEDIA)

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            return self._answers.problem(request, problems.NO_PAGE)
        return Response(static(name), media_type=STATIC[name], headers={"cache-control": _YEAR})

    async def _openapi(self, _: Request) -> Response:
        return JSONResponse(openapi.document(self._options.prefix))

    # What goes wrong.

    async def _problem(self, request: Request, error: Exception) -> Response:
        return self._answers.problem(request, problems.of_error(error))

    async def _no_page(self, request: Request, _: Exception) -> Response:
        return self._answers.problem(request, problems.NO_PAGE)

    async def _unexpected(self, request: Request, _: Exception) -> Response:
        return self._answers.problem(request, problems.UNEXPECTED)

    def _note(self, error: MultinicError | None) -> None:
        """Log when the database cannot be read any more, and when it can again."""
        if error is not None and not self._is_down:
            self._log.error(str(error), hint=error.hint)
        if error is None and self._is_down:
            self._log.info("the database can be read again")
        self._is_down = error is not None


def _beginning_with(first: Any, read: export.Read) -> export.Read:
    """Return a function that gives what has been read first, and then reads."""
    begun = False

    async def read_on(listed: Filter) -> tuple[list[statements.Row], Filter | None]:
        nonlocal begun
        if begun:
            return await read(listed)
        begun = True
        found: tuple[list[statements.Row], Filter | None] = first
        return found

    return read_on


def _tag(data: Data, *more: str) -> str:
    """Return what is the same as long as a page is, whenever it was made."""
    text = json.dumps([{**data, "as_of": ""}, more, __version__], sort_keys=True, default=str)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
