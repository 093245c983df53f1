"""The smaller counterparts as child processes on free loopback ports."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.provider.certificates import self_signed
from tests.token_cache.redis_server import RedisServer

from . import installed
from .children import Child, free_port
from .wire import ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NANOIDP_USERS = {
    "john": {"password": "doe", "email": "john@example.org", "roles": ["USER"]},
    "jürgen": {"password": "p:ä ß%+&", "email": "juergen@example.org", "roles": ["USER"]},
}


@dataclass(frozen=True)
class NanoIdP:
    """A running nanoidp."""

    issuer: str

    def rotate(self) -> str:
        """Let it sign with a new key, the old one still published, and return the new kid."""
        headers = {"Content-Type": "application/json"}
        url = f"{self.issuer}/api/keys/rotate"
        kid: str = ask(url, method="POST", headers=headers, body=b"{}").document()["new_kid"]
        return kid


def nanoidp_settings(port: int) -> dict[str, Any]:
    """Return nanoidp's settings; the file is YAML, of which JSON is a part."""
    post = {"token_endpoint_auth_method": "client_secret_post"}
    return {
        "config_version": 1,
        "server": {"host": "127.0.0.1", "port": port},
        "oauth": {
            "issuer": f"http://127.0.0.1:{port}",
            "audience": "kong",
            "token_expiry_minutes": 5,
            "refresh_token_rotation": True,
            "clients": [
                {"client_id": "kong", "client_secret": "kong-secret"},
                {"client_id": "service", "client_secret": "service-secret"},
                {"client_id": "kong-post", "client_secret": "kong-post-secret", **post},
            ],
        },
        "authority_prefixes": {"roles": ""},
    }


@contextmanager
def nanoidp(folder: Path) -> Iterator[NanoIdP]:
    """Run nanoidp with its files in the folder."""
    program = installed.nanoidp()
    port = free_port()
    files = {
        "settings.yaml": nanoidp_settings(port),
        "users.yaml": {"config_version": 1, "users": NANOIDP_USERS},
    }
    for name, document in files.items():
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    command = [str(program), "--config", str(folder), "--strict-config"]
    child = Child(command, folder / "nanoidp.log", cwd=folder)
    try:
        child.wait_for_port(port)
        yield NanoIdP(f"http://127.0.0.1:{port}")
    finally:
        child.stop()


@contextmanager
def oidc_provider(folder: Path) -> Iterator[str]:
    """Run the npm package oidc-provider and give its issuer."""
    home = installed.oidc_provider()
    port = free_port()
    child = Child(["node", "server.mjs", str(port)], folder / "oidc-provider.log", cwd=home)
    try:
        child.wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.stop()


@dataclass(frozen=True)
class CertifiedProvider:
    """A running oidc-provider with clients that show certificates; the files are in ``folder``."""

    issuer: str
    mtls_port: int
    folder: Path


@contextmanager
def certified_oidc_provider(folder: Path) -> Iterator[CertifiedProvider]:
    """Run the npm package oidc-provider over TLS; on another port it asks for certificates."""
    home = installed.oidc_provider()
    write_certificates(folder)
    port, mtls_port = free_port(), free_port()
    command = ["node", "server.mjs", str(port), str(folder), str(mtls_port)]
    child = Child(command, folder / "oidc-provider.log", cwd=home)
    try:
        child.wait_for_port(port)
        child.wait_for_port(mtls_port)
        yield CertifiedProvider(f"https://127.0.0.1:{port}", mtls_port, folder)
    finally:
        child.stop()


def write_certificates(folder: Path) -> None:
    """Write an authority, a server of it, two clients of it, and a client of its own."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificates = {
        "server.pem": authority.issue_cert("127.0.0.1"),
        "gateway.pem": authority.issue_cert("gateway.example"),
        "other.pem": authority.issue_cert("other.example"),
    }
    for name, certificate in certificates.items():
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / name)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "self-signed.pem").write_bytes(self_signed(key) + pem)


@contextmanager
def redis(folder: Path) -> Iterator[RedisServer]:
    """Run a Redis server that keeps nothing on disk."""
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


WEBSOCKET_ECHO = """
import asyncio, sys
from websockets.asyncio.server import serve

async def echo(connection):
    async for message in connection:
        await connection.send(message)
    await connection.close()

async def main():
    async with serve(echo, "127.0.0.1", int(sys.argv[1]), max_size=None) as server:
        await server.serve_forever()

asyncio.run(main())
"""


@contextmanager
def websocket_echo(folder: Path) -> Iterator[int]:
    """Run an echo server of the library websockets, which compresses, and give its port."""
    port = free_port()
    command = [str(installed.websockets()), "-c", WEBSOCKET_ECHO, str(port)]
    child = Child(command, folder / "websockets.log")
    try:
        child.wait_for_port(port)
        yield port
    finally:
        child.stop()


# As its documentation says for WebSockets: https://nginx.org/en/docs/http/websocket.html
NGINX = """
daemon off; master_process off; pid @folder@/nginx.pid; error_log @folder@/nginx.log;
events {}
http {
  access_log off; client_body_temp_path @folder@/nginx.body; proxy_temp_path @folder@/nginx.proxy;
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server {
    listen 127.0.0.1:@port@;
    location / {
      proxy_pass http://127.0.0.1:@to@;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
  }
}
"""


@contextmanager
def nginx(folder: Path, to: int) -> Iterator[int]:
    """Run an nginx that sends everything to a port, WebSockets too, and give its own port."""
    program = installed.nginx()
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = NGINX.replace("@folder@", str(folder)).replace("@port@", str(port))
    (folder / "nginx.conf").write_text(config.replace("@to@", str(to)), encoding="utf-8")
    command = [str(program), "-p", str(folder), "-e", f"{folder}/nginx.log"]
    child = Child([*command, "-c", f"{folder}/nginx.conf"], folder / "nginx.out.log")
    try:
        child.wait_for_port(port)
        yield port
    finally:
        child.stop()


@contextmanager
def httpbin(folder: Path) -> Iterator[str]:
    """Run httpbin behind gunicorn and give its URL."""
    program = installed.httpbin()
    port = free_port()
    command = [str(program), "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"]
    command += ["--threads", "16", "--keep-alive", "30", "httpbin:app"]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    child = Child(command, folder / "httpbin.log", environment=environment, cwd=folder)
    try:
        child.wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.stop()
