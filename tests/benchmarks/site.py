"""What stands behind every proxy: an upstream and a provider, constant answers by nginx."""

from __future__ import annotations

import base64
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.installing import Apt
from tests.benchmarks.machine import pinned
from tests.fakes.signing import release_key, take_key
from tests.peers.children import Child, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONFIGS = Path(__file__).parent / "configs"
BODY = "x" * 1024
LIFETIME = 86_400
NGINX = Apt("nginx", ("nginx",))


@dataclass(frozen=True, slots=True)
class Site:
    """The running upstream and provider, and what a caller shows to be let in."""

    folder: Path
    upstream: int
    provider: int
    token: str = field(repr=False)
    jwks: str
    pid: int = 0

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return f"http://127.0.0.1:{self.provider}"

    @property
    def values(self) -> Mapping[str, str]:
        """What a configuration may name as ``@name@``."""
        return {
            "folder": str(self.folder),
            "upstream": str(self.upstream),
            "provider": str(self.provider),
            "issuer": self.issuer,
            "token": self.token,
            "jwks": self.jwks,
            "body": BODY,
            "metadata": json.dumps(metadata(self.issuer)),
        }


def metadata(issuer: str) -> dict[str, object]:
    """Write the provider's metadata."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/jwks",
        "grant_types_supported": ["password", "client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def filled(text: str, values: Mapping[str, str]) -> str:
    """Put the values in the places of their names."""
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def basic(user: str, password: str) -> str:
    """Write a Basic credential as the field's value (RFC 7617 §2)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def mint(issuer: str) -> tuple[str, str]:
    """Return an access token like Keycloak's, good for a day, and the JWK Set it verifies with."""
    now, key = int(time.time()), take_key("RS256")
    claims = {
        "iss": issuer,
        "sub": "8f3c1e0a-6f5b-4b52-9d0e-1c2a5d7f9b10",
        "aud": ["api", "gateway"],
        "exp": now + LIFETIME,
        "iat": now,
        "jti": "5f0d4c9a-7f1c-4d27-8e1c-9f1f2b3a4c5d",
        "typ": "Bearer",
        "azp": "gateway",
        "scope": "openid",
        "preferred_username": "john",
        "email": "john@example.org",
        "email_verified": True,
        "realm_access": {"roles": ["offline_access", "uma_authorization", "user"]},
    }
    try:
        return key.sign(claims), json.dumps({"keys": [key.jwk()]})
    finally:
        release_key(key)


@contextmanager
def running_site(folder: Path, core: int) -> Iterator[Site]:
    """Run the upstream and the provider on one core."""
    program = NGINX.program()
    upstream, provider = free_port(), free_port()
    token, jwks = mint(f"http://127.0.0.1:{provider}")
    site = Site(folder, upstream, provider, token, jwks)
    config = folder / "site.conf"
    config.write_text(filled((CONFIGS / "site.conf").read_text(), site.values))
    folder.chmod(0o755)  # the worker is nobody when the master is root
    command = [program, "-p", str(folder), "-e", str(folder / "site.log"), "-c", str(config)]
    child = Child(pinned(core, command), folder / "site.log")
    try:
        child.wait_for_port(upstream)
        yield replace(site, pid=child.pid)
    finally:
        child.stop()
