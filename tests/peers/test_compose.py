"""docker-compose.keycloak.yml and the realm files, read by the programs that use them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .children import missing

pytestmark = [pytest.mark.peer("docker-compose"), pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.keycloak.yml"
ROUTES_FILE = ROOT / "docker-compose.routes.yml"
REALMS = ROOT / "config" / "keycloak"
SHORT = {
    "realm": "example-realm-short",
    "accessTokenLifespan": 5,
    "ssoSessionIdleTimeout": 20,
    "revokeRefreshToken": True,
    "refreshTokenMaxReuse": 0,
}


def works(command: list[str]) -> bool:
    """Tell whether the command is there and answers its version."""
    if shutil.which(command[0]) is None:
        return False
    asked = subprocess.run([*command, "version"], check=False, capture_output=True)
    return asked.returncode == 0


def understood(*files: Path) -> dict[str, Any]:
    """Return files as Compose itself understands them."""
    command = next((c for c in (["docker-compose"], ["docker", "compose"]) if works(c)), None)
    if command is None:
        missing("no Docker Compose", "apt-get install docker-compose")
    named = [argument for file in files for argument in ("-f", str(file))]
    ran = subprocess.run([*command, *named, "config"], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    document: dict[str, Any] = yaml.safe_load(ran.stdout)
    return document


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Return the file as Compose itself understands it."""
    return understood(FILE)


def test_compose_accepts_the_file(compose: dict[str, Any]) -> None:
    """Docker Compose reads the file and finds the four services."""
    assert set(compose["services"]) == {"gateway", "httpbin", "keycloak", "redis"}


def test_every_port_is_published_on_loopback_only(compose: dict[str, Any]) -> None:
    """Nothing of the demo is reachable from another machine."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    hosts = {p["host_ip"] if isinstance(p, dict) else p.partition(":")[0] for p in ports}
    assert hosts == {"127.0.0.1"}


def test_the_gateway_runs_without_privileges(compose: dict[str, Any]) -> None:
    """The gateway has a numeric user, no capability and a read-only file system."""
    gateway = compose["services"]["gateway"]
    assert gateway["user"] == "10001:10001"
    assert gateway["read_only"] is True
    assert gateway["cap_drop"] == ["ALL"]


def test_compose_and_the_script_run_one_keycloak_version(compose: dict[str, Any]) -> None:
    """The image and scripts/keycloak.py name the same version."""
    version = compose["services"]["keycloak"]["image"].rpartition(":")[2]
    assert f'VERSION = "{version}"' in (ROOT / "scripts" / "keycloak.py").read_text("utf-8")


def test_the_gateway_is_the_client_that_the_realm_knows(compose: dict[str, Any]) -> None:
    """Issuer, client id and secret of the demo are those of the imported realm."""
    environment = compose["services"]["gateway"]["environment"]
    realm = json.loads((REALMS / "example-realm-realm.json").read_text("utf-8"))
    secrets = {client["clientId"]: client.get("secret") for client in realm["clients"]}
    assert environment["ISSUER"].endswith(f"/realms/{realm['realm']}")
    assert environment["CLIENT_SECRET"] == secrets[environment["CLIENT_ID"]]


def test_the_short_realm_differs_in_lifetimes_alone() -> None:
    """The second realm is the first with 5-second tokens and rotating refresh tokens."""
    usual = json.loads((REALMS / "example-realm-realm.json").read_text("utf-8"))
    short = json.loads((REALMS / "example-realm-short-realm.json").read_text("utf-8"))
    assert short == usual | SHORT


def test_the_gateway_accepts_the_settings_of_the_demo(compose: dict[str, Any]) -> None:
    """`bearergate check` finds nothing wrong with the environment that Compose sets."""
    environment = compose["services"]["gateway"]["environment"]
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", "check"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={name: str(value) for name, value in environment.items()},
    )
    assert ran.returncode == 0, ran.stderr


def test_the_file_with_routes_is_mounted_where_the_gateway_reads_it() -> None:
    """With the second Compose file the gateway runs with the routes of config/compose.yaml."""
    gateway = understood(FILE, ROUTES_FILE)["services"]["gateway"]
    (mounted,) = gateway["volumes"]
    source, target = (
        (mounted["source"], mounted["target"])
        if isinstance(mounted, dict)
        else mounted.split(":")[:2]
    )
    assert Path(source) == ROOT / "config" / "compose.yaml"
    assert gateway["command"] == ["run", "--config", target, "--watch"]


def test_the_image_runs_as_a_numeric_user_without_a_shell() -> None:
    """The Dockerfile ends with a numeric user and an entry point in exec form."""
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    entries = [line for line in lines if line.startswith(("ENTRYPOINT", "CMD", "RUN"))]
    assert users == ["USER 10001:10001"]
    assert all("[" in line.split()[1] for line in entries)
