"""A provider that is asked about its tokens and users (RFC 7662, OpenID Connect Core §5.3)."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from tests.fakes.answers import Answer, merge
from tests.fakes.provider import FakeProvider, Script
from tests.fakes.sending import send
from tests.fakes.token_request import TokenCall, read_token_call

if TYPE_CHECKING:
    from aiohttp import web


class AskedProvider(FakeProvider):
    """A provider whose tokens are opaque while ``opaque`` says so.

    ``about`` is put over what it says about tokens, ``profile`` over what it says about users.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.opaque = True
        self.about: dict[str, Any] = {}
        self.profile: dict[str, Any] = {}
        self.issued: dict[str, dict[str, Any]] = {}
        self.asked: list[TokenCall] = []
        self.user_info_calls: list[str] = []
        self._scripts |= {"introspect": self._scripts["token"].copy()}
        self._scripts |= {"userinfo": self._scripts["token"].copy()}

    def add_routes(self, app: web.Application) -> None:
        """Add the endpoints that are asked."""
        app.router.add_post("/introspect", self._introspect)
        app.router.add_get("/userinfo", self._user_info)

    def document(self) -> dict[str, Any]:
        """Write the metadata, with the endpoints that are asked."""
        more = {
            "introspection_endpoint": f"{self.issuer}/introspect",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
        }
        return merge({**more, **super().document()}, self.metadata)

    def answer(self, endpoint: str, answer: Answer, *, times: int | None = 1) -> None:
        """Give this answer to the next requests of ``introspect`` or ``userinfo``."""
        self._scripts[endpoint].append(Script(answer, times))

    def mint(self, subject: str, client_id: str, scope: str = "", **claims: Any) -> str:
        """Issue an access token: an opaque one, or a signed one, which is known all the same."""
        now = int(time.time())
        usual = {"iss": self.issuer, "sub": subject, "aud": "api", "exp": now + self.lifetime}
        usual |= {"iat": now, "client_id": client_id, "scope": scope, "token_type": "Bearer"}
        usual |= {"preferred_username": subject}
        token = secrets.token_urlsafe(24)
        if not self.opaque:
            token = super().mint(subject, client_id, scope, **claims)
        self.issued[token] = merge(merge(usual, self.claims), claims)
        return token

    async def _introspect(self, request: web.Request) -> web.StreamResponse:
        call = read_token_call(
            request.headers, tuple(request.headers.items()), await request.read(), 0.0
        )
        self.asked.append(call)
        await self.gate.wait()
        if not self.authenticates(call):
            return await send(request, self.wrong_client, {})
        known = self.issued.get(call.form.get("token", ""))
        said = {"active": False} if known is None else merge({"active": True, **known}, self.about)
        return await send(request, self._scripted("introspect") or Answer(), said)

    async def _user_info(self, request: web.Request) -> web.StreamResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        self.user_info_calls.append(token)
        await self.gate.wait()
        known = self.issued.get(token)
        if scheme != "Bearer" or known is None:
            return await send(request, Answer(401, b"", None), {})
        said = merge({"sub": known["sub"], "email": f"{known['sub']}@example.org"}, self.profile)
        return await send(request, self._scripted("userinfo") or Answer(), said)
