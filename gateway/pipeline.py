"""Route → authenticate → authorize → admit: the whole decision about one request.

Read this first: a mode (the proxy today) is what a server does with an ``Admission``.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from gateway.authorization import Deny, decide, denied
from gateway.errors import (
    AuthenticationError,
    AuthorizationError,
    InvalidAccessTokenError,
    MissingCredentialsError,
)
from gateway.record import record
from gateway.routing.table import RouteTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.authentication import Authentication, Principal
    from gateway.authentication.token_exchange import TokenExchange
    from gateway.identity import Told
    from gateway.request import Body, RequestHead
    from gateway.routing import Route


@record
class Admission:
    """A request that may go on: its route and who is calling (``None`` on a public route).

    ``preflight`` is the target of a CORS preflight that nobody has authenticated. ``told`` is what
    the upstream and the caller are told. ``body`` is the whole body of an anonymous request where
    credentials had been looked for in it.
    """

    route: Route
    authentication: Authentication | None
    preflight: bytes | None = None
    told: Told | None = None
    body: bytes | None = field(default=None, repr=False)

    @property
    def access_token(self) -> str | None:
        """The token to send on, unless what is told says where it goes."""
        if self.authentication is None or self.told is not None:
            return None
        return self.authentication.principal.access_token

    @property
    def content(self) -> bytes | None:
        """The whole body, where credentials had to be looked for in it."""
        return self.body if self.authentication is None else self.authentication.body


class Pipeline:
    """Decides about requests, one ``RequestHead`` at a time."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.table = RouteTable(routes)

    def use(self, routes: Sequence[Route]) -> RouteTable:
        """Decide by these routes from now on; return the table that was in use until now."""
        before, self.table = self.table, RouteTable(routes)
        return before

    async def admit(self, head: RequestHead, body: Body) -> Admission:
        """Return the admission of a request, or raise the ``GatewayError`` that is its answer.

        A caller whose credentials are cached is admitted without suspending.
        """
        table = self.table
        route = table.match(head)
        if not route.authenticators:
            return Admission(route, None)
        if route.preflights is not None:
            target = route.preflights.target_of(head)
            if target is not None:
                return Admission(route, None, target)
        anonymous = None if route.identity is None else _as_anonymous(route, head)
        kept = None if anonymous is None else KeptBody(body)
        table.under_way += 1
        try:
            authentication = await self._authenticate(route, head, kept or body)
            told = _authorize(route, authentication.principal)
            if route.token_exchange is not None:
                authentication = await self._exchange(route, route.token_exchange, authentication)
                told = _tell(route, authentication.principal)
        except MissingCredentialsError:
            if kept is None:
                raise
            return Admission(route, None, told=anonymous, body=kept.data)
        finally:
            table.under_way -= 1
        return Admission(route, authentication, told=told)

    async def _exchange(
        self, route: Route, exchange: TokenExchange, authentication: Authentication
    ) -> Authentication:
        try:
            return await exchange.apply(authentication)
        except AuthenticationError as error:
            error.challenges = _challenges(route, error)
            raise

    async def _authenticate(self, route: Route, head: RequestHead, body: Body) -> Authentication:
        try:
            if len(route.authenticators) == 1:
                authentication = await route.authenticators[0].authenticate(head, body)
            else:
                authentication = await self._ask_in_turn(route, head, KeptBody(body))
            if authentication is not None:
                return authentication
            raise MissingCredentialsError("the request carries no credentials")
        except AuthenticationError as error:
            error.challenges = _challenges(route, error)
            raise

    async def _ask_in_turn(
        self, route: Route, head: RequestHead, body: KeptBody
    ) -> Authentication | None:
        for authenticator in route.authenticators:
            authentication = await authenticator.authenticate(head, body)
            if authentication is None:
                continue
            if authentication.body is None and body.data is not None:  # read by another one
                return replace(authentication, body=body.data)
            return authentication
        return None


def _authorize(route: Route, principal: Principal) -> Told | None:
    """Return what is told about a caller who may go on; raise ``AuthorizationError`` for others."""
    decision = decide(route.policy, principal.claims.raw)
    if isinstance(decision, Deny):
        error = denied(decision, route.authenticators[0].challenge.realm)
        error.user = principal.user
        raise error
    return _tell(route, principal)


def _tell(route: Route, principal: Principal) -> Told | None:
    if route.identity is None:
        return None
    try:
        return route.identity.tell(principal)
    except AuthorizationError as error:
        error.user = principal.user
        raise


def _as_anonymous(route: Route, head: RequestHead) -> Told | None:
    """Return what is told about the caller if it turns out to bring no credentials.

    Nobody is anonymous who sends any ``Authorization``, nor where a rule asks for a claim.
    """
    if route.identity is None or route.identity.anonymous is None:
        return None
    if b"authorization" in head.fields or isinstance(decide(route.policy, {}), Deny):
        return None
    return route.identity.anonymous


class KeptBody:
    """A body that several authenticators look into; ``data`` is ``None`` until one has."""

    __slots__ = ("_body", "data")

    def __init__(self, body: Body) -> None:
        self._body = body
        self.data: bytes | None = None

    async def read(self, limit: int) -> bytes:
        """Return the whole body, read once; more than ``limit`` bytes raise an error."""
        if self.data is None:
            self.data = await self._body.read(limit)
        return self.data


def _challenges(route: Route, error: AuthenticationError) -> tuple[str, ...]:
    """Return one challenge of each way, with the error beside a token's (RFC 6750 §3)."""
    challenges = (each.challenge for each in route.authenticators)
    if isinstance(error, InvalidAccessTokenError):
        challenges = (
            replace(each, error=error.error) if each.scheme == "Bearer" else each
            for each in challenges
        )
    return tuple(dict.fromkeys(each.write() for each in challenges))
