"""The addresses of the page: each reads the store, computes its view, and fills its template."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from privatekube import errors
from privatekube.forecast import text
from privatekube.page import guard, rendering
from privatekube.page import reader as reading
from privatekube.page.guard import Door, Guard
from privatekube.page.reader import Reader
from privatekube.page.snapshot import Snapshot
from privatekube.page.views import (
    block_views,
    claim_views,
    datasets,
    ledger_views,
    paging,
    policy_views,
    run_views,
    spending,
    team_views,
)
from privatekube.page.views.run_views import Run
from privatekube.resources import ledger_csv, summary
from privatekube.resources.summary import ClaimState
from privatekube.scheduling.policy import ORDER, UNLOCK

Context = dict[str, Any]
View = Callable[["Visit"], Context]
_FOLDER = Path(__file__).parent
_EVERY_SECONDS, _PING_SECONDS = 2.0, 15
_FEW = 10
"""How many claims and spenders the first page lists."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a view, with what it is computed from."""

    snapshot: Snapshot
    request: Request
    results: Path | None

    def text(self, name: str) -> str:
        """Return a parameter of the address as text; nothing if it is missing."""
        return self.request.query_params.get(name, "")

    def number(self, name: str) -> int:
        """Return a parameter of the address as a whole number; 1 if it is not one."""
        given = self.text(name)
        return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 1

    @property
    def resource_id(self) -> str:
        """The id `namespace/name` that the address names."""
        return "{namespace}/{name}".format(**self.request.path_params)

    @property
    def published(self) -> list[Run]:
        """The published runs that visitors are shown."""
        return [] if self.results is None else run_views.published(self.results)


@dataclass(frozen=True, slots=True)
class Site:
    """The page.

    Args:
        results: the folder that runs publish into; None if visitors are not shown any.
    """

    results: Path | None

    def app(self, door: Door) -> Starlette:
        """Return the application for the visitors that a door lets in."""
        views = {
            "/": ("overview.html", overview),
            "/dataset": ("dataset.html", dataset),
            "/blocks": ("blocks.html", block_list),
            "/blocks/{namespace}/{name}": ("block.html", block),
            "/claims": ("claims.html", claim_list),
            "/claims/{namespace}/{name}": ("claim.html", claim),
            "/claims/{namespace}/{name}/forecast": ("forecast.html", claim_forecast),
            "/spending": ("spending.html", who_spent),
            "/teams": ("teams.html", teams),
            "/runs": ("runs.html", runs),
            "/ledger": ("ledger.html", ledger),
            "/policy": ("policy.html", policy),
            "/policy/other": ("other_policy.html", other_policy),
        }
        templates = rendering.environment()
        routes = [Route(path, self._endpoint(templates, *view), methods=["GET"]) for path, view in views.items()]
        routes += [
            Route("/ledger/verification", self._verification(templates)),
            Route("/ledger.csv", self._csv),
            Route("/ledger.json", self._json),
            Route("/events", self._events),
        ]
        static = Mount("/static", StaticFiles(directory=_FOLDER / "static"))
        return Starlette(
            routes=[*routes, static],
            middleware=[Middleware(Guard, door=door)],
            exception_handlers={
                HTTPException: _not_found(templates),
                errors.PrivateKubeError: _failed(templates),
            },
        )

    def _endpoint(self, templates: Any, template: str, view: View) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            snapshot = await _reader(request).snapshot()

            def render() -> str:
                context = view(Visit(snapshot, request, self.results))
                return str(templates.get_template(template).render(_common(snapshot, request) | context))

            return HTMLResponse(await run_in_threadpool(render))

        return endpoint

    def _verification(self, templates: Any) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            snapshot = await _reader(request).snapshot()
            audit = fault = None
            try:
                audit = await _reader(request).verify_ledger()
            except errors.CorruptData as error:
                fault = str(error)
            context = _common(snapshot, request) | {"audit": audit, "fault": fault}
            return HTMLResponse(templates.get_template("verification.html").render(context))

        return endpoint

    async def _csv(self, request: Request) -> Response:
        snapshot = await _reader(request).snapshot()
        lines = ledger_csv.of_entries(ledger_views.search(snapshot, request.query_params.get("q", "")))
        return StreamingResponse(lines, media_type="text/csv", headers=_attachment("ledger.csv"))

    async def _json(self, request: Request) -> Response:
        snapshot = await _reader(request).snapshot()
        entries = ledger_views.search(snapshot, request.query_params.get("q", ""))
        content = await run_in_threadpool(ledger_views.to_json, entries)
        return Response(content, media_type="application/json", headers=_attachment("ledger.json"))

    async def _events(self, request: Request) -> Response:
        reader = _reader(request)

        async def revisions() -> AsyncIterator[ServerSentEvent]:
            shown = None
            with contextlib.suppress(errors.PrivateKubeError):  # the browser asks again, and is told what is wrong
                while True:
                    revision = (await reader.snapshot()).revision
                    if revision != shown:
                        yield ServerSentEvent(event="revision", data=revision)
                    shown = revision
                    await asyncio.sleep(_EVERY_SECONDS)

        return EventSourceResponse(revisions(), ping=_PING_SECONDS)


def overview(visit: Visit) -> Context:
    """Return what is left, who spent most, and which claims wait."""
    snapshot = visit.snapshot
    listed = datasets.datasets(snapshot)
    waiting = claim_views.waiting(snapshot)
    return {
        "datasets": [
            (item, datasets.heat_map(snapshot, snapshot.datasets[item.namespace, item.name])) for item in listed[:_FEW]
        ],
        "n_datasets": len(listed),
        "spenders": spending.spenders(snapshot, spending.By.CLAIM)[:_FEW],
        "waiting": [claim_views.row(snapshot, item) for item in waiting[:_FEW]],
        "n_waiting": len(waiting),
        "by": spending.By.CLAIM,
    }


def dataset(visit: Visit) -> Context:
    """Return one dataset: its heat map, when it runs out, who spent on it, and its blocks as text."""
    snapshot, key = visit.snapshot, (visit.text("namespace"), visit.text("name"))
    blocks = snapshot.datasets.get(key)
    if blocks is None:
        raise HTTPException(404, f"dataset {key[1]} in {key[0]}: has no blocks")
    names = {item.id for item in blocks}
    entries = [entry for name in names for entry in snapshot.entries_of_block.get(name, ())]
    page = paging.page(
        [item for item in block_views.rows(snapshot, dataset=key[1]) if item.id in names], visit.number("page")
    )
    return {
        "dataset": datasets.dataset(snapshot, *key),
        "heat_map": datasets.heat_map(snapshot, blocks, part=visit.number("part")),
        "spenders": spending.spenders(snapshot, spending.By.CLAIM, entries)[:_FEW],
        "by": spending.By.CLAIM,
        "page": page,
        "rows": [block_views.row(snapshot, item) for item in page.rows],
        "address": {"namespace": key[0], "name": key[1]},
    }


def block_list(visit: Visit) -> Context:
    """Return the blocks that a search finds."""
    page = paging.page(block_views.rows(visit.snapshot, search=visit.text("q")), visit.number("page"))
    rows = [block_views.row(visit.snapshot, item) for item in page.rows]
    return {"page": page, "rows": rows, "address": {"q": visit.text("q")}}


def block(visit: Visit) -> Context:
    """Return one block."""
    view = block_views.block(visit.snapshot, visit.resource_id)
    if view is None:
        raise HTTPException(404, f"block {visit.resource_id}: does not exist")
    return {"block": view, "by": spending.By.CLAIM}


def claim_list(visit: Visit) -> Context:
    """Return the claims that a search finds."""
    search, state = visit.text("q"), visit.text("state")
    page = paging.page(claim_views.rows(visit.snapshot, search=search, state=state), visit.number("page"))
    rows = [claim_views.row(visit.snapshot, item) for item in page.rows]
    return {"page": page, "rows": rows, "states": list(ClaimState), "address": {"q": search, "state": state}}


def claim(visit: Visit) -> Context:
    """Return one claim, and what its run published."""
    view = claim_views.claim(visit.snapshot, visit.resource_id)
    if view is None:
        raise HTTPException(404, f"claim {visit.resource_id}: does not exist")
    published = next((run for run in visit.published if run.claim == view.row.id), None)
    return {"claim": view, "run": published}


def claim_forecast(visit: Visit) -> Context:
    """Return why a claim waits, or was refused, and when it would be granted."""
    explained = visit.snapshot.claims.get(visit.resource_id)
    if explained is None:
        raise HTTPException(404, f"claim {visit.resource_id}: does not exist")
    forecast = reading.explain(visit.snapshot, explained)
    return {"lines": list(text.explanation(explained, summary.state(explained), forecast)), "claim_id": explained.id}


def who_spent(visit: Visit) -> Context:
    """Return who spent what."""
    given = visit.text("by")
    by = spending.By(given) if given in set(spending.By) else spending.By.CLAIM
    rows = spending.spenders(visit.snapshot, by)
    page = paging.page(rows, visit.number("page"))
    return {"page": page, "by": by, "all_by": list(spending.By), "address": {"by": str(by)}}


def teams(visit: Visit) -> Context:
    """Return what of each quota is used, and what teams without one have committed."""
    page = paging.page(team_views.quota_uses(visit.snapshot), visit.number("page"))
    others = team_views.teams_without_quota(visit.snapshot)[: paging.ROWS]
    return {"page": page, "others": others, "by": spending.By.TEAM}


def runs(visit: Visit) -> Context:
    """Return the published runs side by side: those that the address names, or the latest."""
    published = visit.published
    named = visit.request.query_params.getlist("run")
    compared = [run for run in published if run.folder in named] or published[:4]
    folders = [run.folder for run in compared]
    return {"runs": published, "comparison": run_views.compare(compared), "chosen": folders, "results": visit.results}


def ledger(visit: Visit) -> Context:
    """Return the entries of the ledger that a search finds."""
    page = paging.page(ledger_views.search(visit.snapshot, visit.text("q")), visit.number("page"))
    rows = [ledger_views.row(visit.snapshot, entry) for entry in page.rows]
    return {"page": page, "rows": rows, "address": {"q": visit.text("q")}}


def policy(visit: Visit) -> Context:
    """Return the policy, and a form for another one."""
    settings = visit.snapshot.settings
    given = {UNLOCK: visit.text(UNLOCK) or settings[UNLOCK], ORDER: visit.text(ORDER) or settings[ORDER]}
    return {"settings": settings, "orders": policy_views.ORDERS, "given": given, "is_asked": bool(visit.text(UNLOCK))}


def other_policy(visit: Visit) -> Context:
    """Return what another policy would have granted."""
    given = {UNLOCK: visit.text(UNLOCK), ORDER: visit.text(ORDER)}
    return {"given": given, "result": policy_views.what_if(visit.snapshot, given), "most": policy_views.MOST_CLAIMS}


def _reader(request: Request) -> Reader:
    """Return the reader that the door has set."""
    reader = request.state.reader
    assert isinstance(reader, Reader)  # noqa: S101 - see `guard.Door`
    return reader


def _common(snapshot: Snapshot, request: Request) -> Context:
    """Return what every template shows."""
    return {
        "snapshot": snapshot,
        "path": request.url.path,
        "is_fragment": request.headers.get("x-fragment") == "1",
        "can_sign_out": getattr(request.state, "has_session", False),
    }


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _not_found(templates: Any) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        line = f"{error.detail}; go back to the first page" if error.status_code == 404 else str(error.detail)
        return _message(templates, request, line, error.status_code)

    return answer


def _failed(templates: Any) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        return _message(templates, request, str(error), guard.status_of(error))

    return answer


def _message(templates: Any, request: Request, line: str, status: int) -> Response:
    context = {"line": line, "is_fragment": request.headers.get("x-fragment") == "1"}
    return HTMLResponse(templates.get_template("message.html").render(context), status)
