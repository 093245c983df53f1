"""A provider that takes every client authentication of the registry and believes none unproved."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import jwt

from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from tests.fakes.token_request import TokenCall

MAX_LIFETIME = 60
REQUIRED = ["iss", "sub", "aud", "jti", "exp", "iat"]


class StrictProvider(FakeProvider):
    """Names one method in its metadata and takes no other; ``client_jwks`` is the client's."""

    def __init__(
        self, auth_method: str, *, ssl_context: ssl.SSLContext | None = None, **more: Any
    ) -> None:
        super().__init__(ssl_context=ssl_context, **more)
        self.auth_methods = [auth_method]
        self.client_jwks: dict[str, Any] = {"keys": []}
        self.audience: str | None = None
        self.used: set[str] = set()
        self._asks_for_certificates = (
            ssl_context is not None and ssl_context.verify_mode is ssl.CERT_REQUIRED
        )

    def authenticates(self, call: TokenCall) -> bool:
        """Tell whether the client proves who it is by the one method there is."""
        [method] = self.auth_methods
        if method in {"client_secret_basic", "client_secret_post"}:
            return super().authenticates(call)
        if call.client_id != self.client_id:
            return False
        if method in {"client_secret_jwt", "private_key_jwt"}:
            return call.auth_method == method and self._believes(call)
        certified = method == "none" or self._asks_for_certificates
        return call.auth_method == "none" and certified

    def _believes(self, call: TokenCall) -> bool:
        """Verify an assertion, which is good once (RFC 7523 §3)."""
        token = call.form["client_assertion"]
        header = jwt.get_unverified_header(token)
        try:
            claims = jwt.decode(
                token,
                self._key(call, header),
                [header["alg"]],
                audience=self.audience or self.issuer,
                issuer=self.client_id,
                options={"require": REQUIRED, "strict_aud": True},
            )
        except (jwt.InvalidTokenError, KeyError):
            return False
        fresh = claims["jti"] not in self.used
        self.used.add(claims["jti"])
        return fresh and claims["exp"] - claims["iat"] <= MAX_LIFETIME

    def _key(self, call: TokenCall, header: dict[str, Any]) -> Any:
        if call.auth_method == "client_secret_jwt":
            return self.client_secret.encode()
        keys = {jwk["kid"]: jwk for jwk in self.client_jwks["keys"]}
        return jwt.PyJWK.from_dict(keys[header["kid"]])
