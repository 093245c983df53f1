"""An OpenID Provider on loopback that signs real tokens and misbehaves when told to."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from tests.fakes.answers import ANSWERS, Answer, merge, refusal
from tests.fakes.sending import leave_out_content_type, send
from tests.fakes.signing import SigningKey, release_key, take_key
from tests.fakes.token_request import TokenCall, TokenRequestError, read_token_call
from tests.fakes.waiting import until

if TYPE_CHECKING:
    import ssl

HOST = "127.0.0.1"


@dataclass(slots=True)
class Script:
    """An answer and how often it is still to be given; ``None`` is for ever."""

    answer: Answer
    times: int | None


class FakeProvider:
    """Discovery, JWK Set and token endpoint; strict in what it takes, scriptable in what it gives.

    Everything public may be changed by a test while it runs.  Tokens look like Keycloak's:
    ``azp`` is the client, ``sub`` the user name or the client id.  There are ID tokens when
    ``id_claims`` is set, with these put over the usual ones.
    """

    def __init__(
        self,
        *,
        client_id: str = "gateway",
        client_secret: str = "gateway-secret",  # noqa: S107 - of a test provider
        alg: str = "RS256",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.users: dict[str, str] = {"john": "doe"}
        self.clients: dict[str, str] = {"service": "service-secret"}
        self.auth_methods = ["client_secret_basic", "client_secret_post"]
        self.lifetime: float = 300
        self.expires_in: Any = 300
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.id_claims: dict[str, Any] | None = None
        self.id_key: SigningKey | None = None
        self.access_token: str | None = None
        self.metadata: dict[str, Any] = {}
        self.extra_jwks: list[dict[str, Any]] = []
        self.wrong_password = ANSWERS["keycloak_wrong_password"]
        self.wrong_client = ANSWERS["keycloak_wrong_client_secret"]
        self.answers_for: dict[str, Answer] = {}
        self.refresh_tokens = False
        self.rotates = True
        self.sessions: dict[str, str] = {}
        self.revoked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.token_calls: list[TokenCall] = []
        self.refused_calls: list[TokenRequestError] = []
        self.jwks_calls = 0
        self.discovery_calls = 0
        self.key = take_key(alg)
        self.keys: list[SigningKey] = [self.key]
        self._taken = [self.key]
        endpoints = ("token", "jwks", "discovery", "revocation")
        self._scripts: dict[str, deque[Script]] = {endpoint: deque() for endpoint in endpoints}
        self._port = port
        self._ssl = ssl_context
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.gate.set()
        await self.down()
        for key in self._taken:
            release_key(key)

    # Where it is, and whether it is there

    @property
    def port(self) -> int:
        """The port, the same after ``down`` and ``up``."""
        return self._port

    @property
    def issuer(self) -> str:
        """The issuer identifier (RFC 8414 §2)."""
        return f"{'https' if self._ssl else 'http'}://{HOST}:{self._port}"

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        server = None if self._runner is None else self._runner.server
        return 0 if server is None else len(server.connections)

    async def up(self) -> None:
        """Start to listen; on the port of the first time."""
        app = web.Application()
        app.on_response_prepare.append(leave_out_content_type)
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/jwks", self._jwks)
        app.router.add_post("/token", self._token)
        app.router.add_post("/revoke", self._revoke)
        self.add_routes(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port, ssl_context=self._ssl)
        await site.start()
        self._port = self._runner.addresses[0][1]

    def add_routes(self, app: web.Application) -> None:
        """Add the endpoints of a provider that has more."""

    async def down(self) -> None:
        """Close the listener and every connection."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    # Scripting

    def answer_next_token(self, answer: Answer, *, times: int | None = 1) -> None:
        """Give this answer to the next token requests; ``None`` means to all from then on."""
        self._scripts["token"].append(Script(answer, times))

    def answer_jwks(self, answer: Answer, *, times: int | None = 1) -> None:
        """Give this answer to the next requests for the JWK Set."""
        self._scripts["jwks"].append(Script(answer, times))

    def answer_discovery(self, answer: Answer, *, times: int | None = 1) -> None:
        """Give this answer to the next discovery requests."""
        self._scripts["discovery"].append(Script(answer, times))

    def answer_next_revocation(self, answer: Answer) -> None:
        """Give this answer to the next request to end a session."""
        self._scripts["revocation"].append(Script(answer, 1))

    def behave(self) -> None:
        """Forget every script and every answer meant for one user."""
        for scripts in self._scripts.values():
            scripts.clear()
        self.answers_for.clear()

    def rotate(self, *, keep_old: bool = True, alg: str | None = None) -> SigningKey:
        """Sign with a new key from now on; publish the old ones too, or drop them."""
        self.key = take_key(alg or self.key.alg)
        self._taken.append(self.key)
        self.keys = [*self.keys, self.key] if keep_old else [self.key]
        return self.key

    async def token_called(self, count: int) -> None:
        """Wait until so many token requests have arrived."""
        await until(lambda: len(self.token_calls) >= count)

    # What it says

    def document(self) -> dict[str, Any]:
        """Write the metadata (OpenID Connect Discovery 1.0 §3); ``metadata`` is merged over it."""
        usual = {
            "issuer": self.issuer,
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "grant_types_supported": ["password", "client_credentials"],
            "token_endpoint_auth_methods_supported": self.auth_methods,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.key.alg],
        }
        return merge(usual, self.metadata)

    def jwk_set(self) -> dict[str, Any]:
        """Write the JWK Set (RFC 7517 §5), foreign keys first."""
        return {"keys": [*self.extra_jwks, *(key.jwk() for key in self.keys)]}

    def mint(self, subject: str, client_id: str, scope: str = "", **claims: Any) -> str:
        """Sign an access token as the token endpoint would, with these claims put over it."""
        now = int(time.time())
        usual = {
            "iss": self.issuer,
            "sub": subject,
            "aud": "api",
            "exp": now + self.lifetime,
            "iat": now,
            "jti": secrets.token_urlsafe(8),
            "typ": "Bearer",
            "azp": client_id,
            "scope": scope,
            "preferred_username": subject,
        }
        merged = merge(merge(usual, self.claims), claims)
        return self.key.sign(merged, self.header)

    def mint_id_token(self, subject: str, client_id: str, access_token: str) -> str:
        """Sign an ID token as Keycloak would (OpenID Connect Core §2, §3.1.3.6)."""
        now = int(time.time())
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        usual = {
            "iss": self.issuer,
            "sub": subject,
            "aud": client_id,
            "azp": client_id,
            "exp": now + self.lifetime,
            "iat": now,
            "typ": "ID",
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        }
        return (self.id_key or self.key).sign(merge(usual, self.id_claims or {}))

    # The endpoints

    async def _discovery(self, request: web.Request) -> web.StreamResponse:
        self.discovery_calls += 1
        answer = self._scripted("discovery") or Answer()
        return await send(request, answer, self.document())

    async def _jwks(self, request: web.Request) -> web.StreamResponse:
        self.jwks_calls += 1
        return await send(request, self._scripted("jwks") or Answer(), self.jwk_set())

    async def _token(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        at = asyncio.get_running_loop().time()
        try:
            call = read_token_call(request.headers, tuple(request.headers.items()), body, at)
        except TokenRequestError as exc:
            self.refused_calls.append(exc)
            return await send(request, refusal(400, exc.error, exc.description), {})
        self.token_calls.append(call)
        await self.gate.wait()
        answer = self._scripted("token") or self._answer_for(call)
        return await send(request, answer, {} if answer.body is not None else self._grant(call))

    def _scripted(self, endpoint: str) -> Answer | None:
        scripts = self._scripts[endpoint]
        if not scripts:
            return None
        script = scripts[0]
        if script.times is not None:
            script.times -= 1
            if script.times == 0:
                scripts.popleft()
        return script.answer

    def _answer_for(self, call: TokenCall) -> Answer:
        """Decide as a provider does: the client first, then the grant (RFC 6749 §3.2.1, §4.3.2)."""
        if not self.authenticates(call):
            return self.wrong_client
        if call.grant_type == "client_credentials":
            return self.answers_for.get(call.client_id, Answer())
        if call.grant_type == "password":
            return self._answer_for_password(call)
        if call.grant_type == "refresh_token":
            known = call.form.get("refresh_token") in self.sessions
            return Answer() if known else refusal(400, "invalid_grant", "Token is not active")
        return ANSWERS["unsupported_grant_type"]

    def authenticates(self, call: TokenCall) -> bool:
        """Tell whether the client proves who it is, in a way the metadata names (RFC 6749 §2.3)."""
        secret = {**self.clients, self.client_id: self.client_secret}.get(call.client_id)
        known = secret is not None and secret == call.client_secret
        return known and call.auth_method in self.auth_methods

    def _answer_for_password(self, call: TokenCall) -> Answer:
        """Decide on a user's password; only the gateway's own client may ask (RFC 6749 §4.3)."""
        if call.client_id != self.client_id:
            return ANSWERS["keycloak_grant_not_allowed"]
        username = call.form.get("username", "")
        known = username in self.users and self.users[username] == call.form.get("password")
        return self.answers_for.get(username, Answer() if known else self.wrong_password)

    def _grant(self, call: TokenCall) -> dict[str, Any]:
        """Write a genuine token response (RFC 6749 §5.1)."""
        subject = call.form.get("username", call.client_id)
        used = call.form.get("refresh_token", "")
        if call.grant_type == "refresh_token":
            subject = self.sessions.get(used, "")
        scope = call.form.get("scope", "")
        renewable = self.refresh_tokens and call.grant_type != "client_credentials"
        issued = {"refresh_token": self._open_session(subject, used)} if renewable else {}
        access_token = self.access_token or self.mint(subject, call.client_id, scope)
        if self.id_claims is not None:
            issued["id_token"] = self.mint_id_token(subject, call.client_id, access_token)
        return issued | {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "scope": scope,
        }

    def _open_session(self, subject: str, used: str) -> str:
        """Issue a refresh token; the one it was got with works on unless the provider rotates."""
        if used and not self.rotates:
            return used
        self.sessions.pop(used, None)
        token = secrets.token_urlsafe(16)
        self.sessions[token] = subject
        return token

    async def _revoke(self, request: web.Request) -> web.StreamResponse:
        """End a session (RFC 7009 §2.1)."""
        call = read_token_call(
            request.headers, tuple(request.headers.items()), await request.read(), 0.0
        )
        if (answer := self._scripted("revocation")) is not None:
            return await send(request, answer, {})
        token = call.form.get("token", "")
        self.revoked.append(token)
        self.sessions.pop(token, None)
        return web.Response()
