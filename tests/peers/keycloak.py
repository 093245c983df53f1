"""Keycloak as a counterpart: an instance on loopback and what its admin REST API can change."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import trustme

from .children import free_port, missing
from .wire import Answer, ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCRIPT = Path(__file__).parents[2] / "scripts" / "keycloak.py"
REALM = "example-realm"
SHORT_REALM = "example-realm-short"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Tls:
    """Where a Keycloak speaks TLS, and the certificates of its authority: ca, gateway, other."""

    url: str
    folder: Path

    @property
    def issuer(self) -> str:
        """The realm with 300-second tokens."""
        return f"{self.url}/realms/{REALM}"


@dataclass(frozen=True)
class Keycloak:
    """A running Keycloak with the realms of config/keycloak."""

    url: str
    tls: Tls | None = None

    @property
    def issuer(self) -> str:
        """The realm with 300-second tokens."""
        return f"{self.url}/realms/{REALM}"

    @property
    def short_issuer(self) -> str:
        """The realm with 5-second tokens and rotating refresh tokens."""
        return f"{self.url}/realms/{SHORT_REALM}"

    def admin(self, realm: str = REALM) -> Admin:
        """Return the admin REST API of a realm, logged in."""
        form = {"grant_type": "password", "client_id": "admin-cli"}
        form |= {"username": "admin", "password": "admin"}
        token_endpoint = f"{self.url}/realms/master/protocol/openid-connect/token"
        answer = ask(token_endpoint, method="POST", headers=FORM, body=urlencode(form).encode())
        assert answer.status == 200, answer.body
        return Admin(f"{self.url}/admin/realms/{realm}", answer.document()["access_token"])

    def token(self, client: str, secret: str, issuer: str | None = None, **form: str) -> Answer:
        """Ask the token endpoint directly, past the gateway."""
        fields = {"client_id": client, "client_secret": secret, **form}
        url = f"{issuer or self.issuer}/protocol/openid-connect/token"
        return ask(url, method="POST", headers=FORM, body=urlencode(fields).encode())

    def key_set(self) -> list[dict[str, Any]]:
        """Return the keys that the realm publishes (RFC 7517 §5)."""
        keys: list[dict[str, Any]] = ask(f"{self.issuer}/protocol/openid-connect/certs").document()[
            "keys"
        ]
        return keys


@dataclass(frozen=True)
class Admin:
    """The admin REST API of one realm; its token lives a minute."""

    url: str
    access_token: str

    def call(self, method: str, path: str, document: object = None) -> Any:
        """Make one call and return the JSON of its answer, None where it has none."""
        headers = {"Authorization": f"Bearer {self.access_token}"}
        body = None
        if document is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(document).encode()
        answer = ask(self.url + path, method=method, headers=headers, body=body)
        assert 200 <= answer.status < 300, (answer.status, answer.body)
        return answer.document() if answer.body else None

    def rotate_keys(self, *, keep_old: bool = True) -> None:
        """Add an RS256 key that signs from now on; withdraw the older ones if asked."""
        query = f"?type={quote('org.keycloak.keys.KeyProvider')}"
        older = [
            component
            for component in self.call("GET", f"/components{query}")
            if component["providerId"] == "rsa-generated"
        ]
        priorities = [int(old["config"].get("priority", ["0"])[0]) for old in older]
        config = {"enabled": ["true"], "active": ["true"], "keySize": ["2048"]}
        config |= {"algorithm": ["RS256"], "priority": [str(max([100, *priorities]) + 1)]}
        key = {"name": f"rsa-{len(older)}", "providerId": "rsa-generated", "config": config}
        self.call("POST", "/components", key | {"providerType": "org.keycloak.keys.KeyProvider"})
        for component in () if keep_old else older:
            self.call("DELETE", f"/components/{component['id']}")

    def user_path(self, username: str) -> str:
        """Return the path of a user."""
        found = self.call("GET", f"/users?exact=true&username={quote(username)}")
        return f"/users/{found[0]['id']}"

    def set_password(self, username: str, password: str) -> None:
        """Give a user a new password that need not be changed."""
        credential = {"type": "password", "value": password, "temporary": False}
        self.call("PUT", f"{self.user_path(username)}/reset-password", credential)

    def set_enabled(self, username: str, *, enabled: bool) -> None:
        """Enable or disable a user."""
        path = self.user_path(username)
        self.call("PUT", path, self.call("GET", path) | {"enabled": enabled})

    def count_sessions(self, username: str) -> int:
        """Tell how many sessions the user has."""
        return len(self.call("GET", f"{self.user_path(username)}/sessions"))

    def end_sessions(self, username: str) -> None:
        """Log the user out everywhere."""
        self.call("POST", f"{self.user_path(username)}/logout")

    def set_access_token_lifespan(self, seconds: int) -> None:
        """Let access tokens of the realm live this long."""
        self.call("PUT", "", {"accessTokenLifespan": seconds})

    def set_client_attributes(self, client_id: str, attributes: Mapping[str, str]) -> None:
        """Change a client's attributes; an empty text takes one away."""
        found = self.call("GET", f"/clients?clientId={quote(client_id)}")[0]
        found["attributes"] = found["attributes"] | attributes
        self.call("PUT", f"/clients/{found['id']}", found)

    def set_client_secret(self, client_id: str, secret: str) -> None:
        """Give a client another secret."""
        found = self.call("GET", f"/clients?clientId={quote(client_id)}")[0]
        self.call("PUT", f"/clients/{found['id']}", found | {"secret": secret})


def is_fetched() -> bool:
    """Tell whether the distribution stands unpacked in the cache folder."""
    spec = importlib.util.spec_from_file_location("keycloak_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return bool((script.home() / "bin" / "kc.sh").exists())


def write_certificates(folder: Path) -> None:
    """Write an authority, a server of it, and two clients of it by the names of their files."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server = authority.issue_cert("127.0.0.1")
    server.cert_chain_pems[0].write_to_path(folder / "server.pem")
    server.private_key_pem.write_to_path(folder / "server-key.pem")
    for name in ("gateway", "other"):
        certificate = authority.issue_cert(f"{name}.example", common_name=name)
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")


@contextmanager
def running(folder: Path) -> Iterator[Keycloak]:
    """Use the instance of BEARERGATE_KEYCLOAK_URL, or run one of its own on a free port."""
    given = os.environ.get("BEARERGATE_KEYCLOAK_URL")
    if given:
        yield Keycloak(given.rstrip("/"))
        return
    if os.environ.get("CI") != "true" and not is_fetched():
        missing("Keycloak has not been downloaded", "python scripts/keycloak.py fetch")
    port, https_port = str(free_port()), str(free_port())
    write_certificates(folder)
    command = [sys.executable, str(SCRIPT)]
    started = subprocess.run(
        [*command, "up", "--port", port, "--https-port", https_port, "--tls", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if started.returncode != 0:
        missing(f"Keycloak did not start: {started.stderr[-2000:]}", "make keycloak-up")
    try:
        yield Keycloak(f"http://127.0.0.1:{port}", Tls(f"https://127.0.0.1:{https_port}", folder))
    finally:
        subprocess.run([*command, "down", "--port", port], check=False, capture_output=True)
