"""Route → authenticate → authorize → admit: the whole decision about one request.

Read this first: a mode (the proxy today) is what a server does with an ``Admission``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import routing
from gateway.authorization import Deny, decide, denied
from gateway.errors import AuthenticationError, MissingCredentialsError
from gateway.record import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.authentication import Authentication
    from gateway.request import Body, RequestHead
    from gateway.routing import Route


@record
class Admission:
    """A request that may go on: its route and who is calling (``None`` on a public route)."""

    route: Route
    authentication: Authentication | None


class Pipeline:
    """Decides about requests, one ``RequestHead`` at a time."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)

    async def admit(self, head: RequestHead, body: Body) -> Admission:
        """Return the admission of a request, or raise the ``GatewayError`` that is its answer.

        A caller whose credentials are cached is admitted without suspending.
        """
        route = routing.match(self._routes, head)
        if not route.authenticators:
            return Admission(route, None)
        authentication = await self._authenticate(route, head, body)
        decision = decide(route.policy, authentication.principal.claims.raw)
        if isinstance(decision, Deny):
            error = denied(decision, route.authenticators[0].challenge.realm)
            error.user = authentication.principal.user
            raise error
        return Admission(route, authentication)

    async def _authenticate(self, route: Route, head: RequestHead, body: Body) -> Authentication:
        try:
            for authenticator in route.authenticators:
                authentication = await authenticator.authenticate(head, body)
                if authentication is not None:
                    return authentication
            raise MissingCredentialsError("the request carries no credentials")
        except AuthenticationError as error:
            error.challenges = tuple(
                dict.fromkeys(each.challenge.write() for each in route.authenticators)
            )
            raise
