"""Fixtures of the peer tests: each counterpart runs once a session, each gateway once a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from . import counterparts, running_gateway
from . import keycloak as keycloak_peer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from tests.token_cache.redis_server import RedisServer

    from .counterparts import CertifiedProvider, NanoIdP
    from .keycloak import Keycloak
    from .running_gateway import Gateway

    StartGateway = Callable[..., Gateway]

GATEWAY_CLIENT = {"CLIENT_ID": "kong", "CLIENT_SECRET": "kong-secret"}


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    """Run a Keycloak with the realms of config/keycloak."""
    with keycloak_peer.running(tmp_path_factory.mktemp("keycloak")) as instance:
        yield instance


@pytest.fixture(scope="session")
def nanoidp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NanoIdP]:
    """Run a nanoidp that knows john and jürgen and three clients."""
    with counterparts.nanoidp(tmp_path_factory.mktemp("nanoidp")) as instance:
        yield instance


@pytest.fixture(scope="session")
def oidc_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an oidc-provider and give its issuer."""
    with counterparts.oidc_provider(tmp_path_factory.mktemp("oidc-provider")) as issuer:
        yield issuer


@pytest.fixture(scope="session")
def certified_oidc_provider(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[CertifiedProvider]:
    """Run an oidc-provider over TLS that knows clients by their certificates."""
    folder = tmp_path_factory.mktemp("certified-oidc-provider")
    with counterparts.certified_oidc_provider(folder) as instance:
        yield instance


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Run a Redis server of the test's own, to be paused or killed."""
    with counterparts.redis(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def httpbin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an httpbin and give its URL."""
    with counterparts.httpbin(tmp_path_factory.mktemp("httpbin")) as url:
        yield url


@pytest.fixture
def start_gateway(tmp_path: Path, httpbin: str) -> Iterator[StartGateway]:
    """Give a function that starts a gateway in front of httpbin, as its arguments say."""
    started: list[Gateway] = []

    def start(*arguments: str, **settings: str) -> Gateway:
        environment = {"UPSTREAM_URL": httpbin, **GATEWAY_CLIENT, **settings}
        log = tmp_path / f"gateway-{len(started)}.log"
        started.append(running_gateway.start(log, environment, *arguments))
        return started[-1]

    yield start
    for gateway in started:
        gateway.child.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test of a counterpart the time its first start takes, whichever comes first."""
    for item in items:
        if item.get_closest_marker("peer") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(600))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show on failure what the gateways and servers of the test wrote."""
    report = yield
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.when == "call" and report.failed and folder is not None:
        for log in sorted(folder.glob("*.log")):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-60:]
            report.sections.append((log.name, "\n".join(lines)))
    return report
