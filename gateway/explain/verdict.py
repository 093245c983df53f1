"""The gateway's own pipeline, asked with a caller who is known already."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.authentication import Authentication, Principal, Source
from gateway.authorization import Deny, Policy, decide
from gateway.errors import GatewayError
from gateway.forwarding.headers import Forwarded
from gateway.oauth.claims import Claims, claim_values
from gateway.oauth.id_token import IDToken
from gateway.pipeline import Admission, Pipeline
from gateway.server.sending import write_admitted_head

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from gateway.oauth.credentials import Challenge
    from gateway.request import Body, RequestHead
    from gateway.routing import Route

# Stand where the tokens of a real request do.
PLACEHOLDER = "ACCESS-TOKEN"
_ID_TOKEN = IDToken("ID-TOKEN", math.inf, "")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends the request, and what the token says; None is not known.

    ``id_token`` is that an ID token is asked for beside it.
    """

    user: str
    claims: Mapping[str, Any] | None = field(repr=False)
    issuer: str
    grant: str
    id_token: bool = False

    def principal(self) -> Principal:
        """Return the caller as if a token with these claims had been verified."""
        raw = {"sub": self.user, **(self.claims or {})}
        scope = raw.get("scope")
        claims = Claims(
            iss=self.issuer,
            sub=str(raw["sub"]),
            aud=tuple(sorted(claim_values(raw.get("aud")))),
            exp=math.inf,
            iat=None,
            client_id=None,
            scope=scope if isinstance(scope, str) else None,
            raw=self.claims or {},
        )
        id_token = _ID_TOKEN if self.id_token else None
        return Principal(claims, PLACEHOLDER, math.inf, "", self.grant, "", id_token=id_token)


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """One rule by itself; ``holds`` is None while the claims are not known."""

    rule: str
    holds: bool | None


@dataclass(frozen=True, slots=True)
class _StandIn:
    """Says who is calling in place of an authenticator."""

    challenge: Challenge
    principal: Principal | None

    async def authenticate(self, head: RequestHead, body: Body) -> Authentication | None:  # noqa: ARG002 - the contract's
        """Return the caller that was given, whatever the request carries."""
        if self.principal is None:
            return None
        return Authentication(self.principal, Source.PROVIDER, head.target, None)


class _NoBody:
    async def read(self, limit: int) -> bytes:  # noqa: ARG002 - the contract's
        return b""


async def admit(
    routes: Sequence[Route], head: RequestHead, caller: Caller | None
) -> Admission | GatewayError:
    """Return what the pipeline says when ``caller`` sends ``head``: an admission, or its error.

    What depends on claims that are not known is left out, and no token is exchanged.
    """
    try:
        return await Pipeline([_with(route, caller) for route in routes]).admit(head, _NoBody())
    except GatewayError as error:
        return error


def judge(policy: Policy, claims: Mapping[str, Any] | None) -> tuple[RuleVerdict, ...]:
    """Return the verdict about each rule alone."""
    return tuple(
        RuleVerdict(name, None if claims is None else not isinstance(decide(alone, claims), Deny))
        for name, alone in _each(policy)
    )


def sent(head: RequestHead, admission: Admission, scheme: str, host: str) -> tuple[str, ...]:
    """Return the header fields the upstream would get from a caller without a proxy before it."""
    forwarded = Forwarded(b"CALLERS-ADDRESS", scheme.encode(), host.encode(), b"REQUEST-ID")
    data = write_admitted_head(head, admission, forwarded, head.body_length)
    return tuple(line for line in data.decode("latin-1").split("\r\n")[1:] if line)


def _with(route: Route, caller: Caller | None) -> Route:
    principal = None if caller is None else caller.principal()
    unknown = caller is not None and caller.claims is None
    return replace(
        route,
        authenticators=tuple(_StandIn(each.challenge, principal) for each in route.authenticators),
        policy=Policy() if unknown else route.policy,
        token_exchange=None,
        identity=None if unknown else route.identity,
    )


def _each(policy: Policy) -> Iterator[tuple[str, Policy]]:
    for requirement in policy.requirements:
        wanted = ",".join(" ".join(sorted(each)) for each in requirement.alternatives)
        name = f"{requirement.name}: {requirement.path} has {wanted}"
        yield name, Policy((requirement,))
    for rule in policy.claims_required:
        yield f"claims_required: {rule.path}", Policy(claims_required=(rule,))
    for rule in policy.claims_forbidden:
        yield f"claims_forbidden: {rule.path}", Policy(claims_forbidden=(rule,))
