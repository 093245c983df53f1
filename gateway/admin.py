"""The admin port: is the process alive, can it do its work, its public keys, and purges.

Rule: nothing of it is on the proxy port.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from gateway.metrics import CONTENT_TYPE, merge_pages, write_metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from gateway.provider.client import Provider
    from gateway.token_cache.purge import Purger, PurgeResult

    CacheProbe = Callable[[], Awaitable[bool]]

_READY = {"provider": "discovered", "keys": "loaded"}
_NO_STORE = {"Cache-Control": "no-store", "Server": "bearergate"}


# How long the other workers are waited for, in seconds; a purge may end sessions at the provider.
ANSWER_WITHIN = 1.0
FORGET_WITHIN = 8.0


@dataclass(frozen=True, slots=True)
class Answers:
    """What other workers answered, how many did not, and what those that are gone had counted."""

    values: list[Any]
    missing: int = 0
    retired: str = ""


class Crew(Protocol):
    """The other workers of the gateway, ``size`` with this one."""

    size: int

    async def ask(self, question: str, argument: str | None, within: float) -> Answers:
        """Return what those that serve answer within so many seconds."""


class Admin:
    """The admin port; ``probe_cache`` is ``None`` for the in-process cache.

    ``providers`` tells those in use by name, ``client_key_set`` the gateway's own public keys,
    for the provider to fetch. With a ``crew`` it speaks for all workers, whichever is asked.
    """

    def __init__(
        self,
        providers: Callable[[], Mapping[str, Provider]],
        probe_cache: CacheProbe | None,
        client_key_set: Callable[[], bytes],
        *,
        purger: Purger,
        crew: Crew | None = None,
    ) -> None:
        self._providers = providers
        self._probe_cache = probe_cache
        self._client_key_set = client_key_set
        self._purger = purger
        self._crew = crew

    def application(self) -> web.Application:
        """Return the admin port's application."""
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/openid-connect/jwks", self._jwks)
        app.router.add_delete("/cache", self._cache_purge)
        return app

    async def _livez(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "alive"}, headers=_NO_STORE)

    async def answer(self, question: str, argument: str | None) -> object:
        """Answer what another worker's admin port asks of this one."""
        match question:
            case "ready":
                return await self._document()
            case "metrics":
                return write_metrics().decode()
            case "forget":
                return await self._purger.forget(argument)
            case _:
                return None

    async def _readyz(self, _: web.Request) -> web.Response:
        """Answer 200 when logins can work, in every worker, else 503.

        With several providers one that works is enough, because the routes of the others would be
        no better off without the gateway. A cache that is not reachable is reported and does not
        make the gateway unready: it serves on without it. The upstream is not asked.
        """
        document = await self._document()
        if self._crew is not None:
            others = await self._crew.ask("ready", None, ANSWER_WITHIN)
            document = _least_ready([document, *others.values], self._crew.size)
        status = 200 if document["status"] == "ready" else 503
        return web.json_response(document, status=status, headers=_NO_STORE)

    async def _document(self) -> dict[str, object]:
        states = {name: _state(each) for name, each in self._providers().items()}
        ready = not states or _READY in states.values()
        document: dict[str, object] = {
            "status": "ready" if ready else "not ready",
            **{key: _worst(key, states.values()) for key in _READY},
            "cache": await self._cache(),
        }
        if len(states) > 1:
            document["providers"] = states
        return document

    async def _jwks(self, _: web.Request) -> web.Response:
        """Answer the keys the gateway authenticates with at the provider (RFC 7517 §5)."""
        return web.Response(
            body=self._client_key_set(), content_type="application/json", headers=_NO_STORE
        )

    async def _metrics(self, _: web.Request) -> web.Response:
        """Answer what was counted, in the Prometheus text format."""
        page = write_metrics()
        if self._crew is not None:
            others = await self._crew.ask("metrics", page.decode(), ANSWER_WITHIN)
            page = merge_pages([page.decode(), *others.values, others.retired])
        headers = {**_NO_STORE, "Content-Type": CONTENT_TYPE}
        return web.Response(body=page, headers=headers)

    async def _cache_purge(self, request: web.Request) -> web.Response:
        """Forget everything, or with ``?user=NAME`` one user; 503 if replicas may not know.

        A query that says anything else is refused, so that a slip does not purge everything.
        """
        named = list(request.query.items())
        if named and (len(named) > 1 or named[0][0] != "user" or not named[0][1]):
            document: dict[str, object] = {
                "error": "invalid_request",
                "error_description": "the query may only be user=NAME",
            }
            return web.json_response(document, status=400, headers=_NO_STORE)
        result, problem = await self._purge(named[0][1] if named else None)
        document = {"purged": result.purged}
        if not result.complete:
            document["error"] = "cache_unavailable"
            document["error_description"] = problem
        return web.json_response(
            document, status=200 if result.complete else 503, headers=_NO_STORE
        )

    async def _purge(self, user: str | None) -> tuple[PurgeResult, str]:
        """Purge, in every worker; return also what it means if that is not complete."""
        result = await self._purger.purge(user)
        if self._crew is None:
            return result, "Redis does not answer: only this process was purged"
        others = await self._crew.ask("forget", user, FORGET_WITHIN)
        purged = result.purged
        if self._probe_cache is None:  # what is in Redis too is counted there
            purged += sum(others.values)
        problem = (
            "a worker does not answer: it was not purged"
            if others.missing
            else "Redis does not answer: only this gateway was purged"
        )
        return replace(
            result, purged=purged, complete=result.complete and not others.missing
        ), problem

    async def _cache(self) -> str:
        if self._probe_cache is None:
            return "in process"
        return "reachable" if await self._probe_cache() else "not reachable"


def _state(provider: Provider) -> dict[str, str]:
    return {
        "provider": "discovered" if provider.discovered else "not discovered",
        "keys": "loaded" if provider.keys.loaded else "not loaded",
    }


def _worst(key: str, states: Iterable[dict[str, str]]) -> str:
    return next((each[key] for each in states if each[key] != _READY[key]), _READY[key])


def _least_ready(documents: list[dict[str, object]], size: int) -> dict[str, object]:
    """Return the document of the worker that has most to do yet, and how many are ready."""
    ready = sum(each["status"] == "ready" for each in documents)
    worst = next((each for each in documents if each["status"] != "ready"), documents[0])
    status = "ready" if ready == size else "not ready"
    return {**worst, "status": status, "workers": f"{ready} of {size} ready"}
