"""Who may open a WebSocket, how many, and when they end (P21)."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError

from gateway import metrics
from tests.fakes.waiting import until
from tests.fakes.websocket import WebSocketUpstream, receive, websocket


@pytest.fixture
async def server():
    """Return a WebSocket server."""
    async with WebSocketUpstream() as upstream:
        yield upstream


@pytest.fixture
async def gateway(start_gateway, server):
    """Return a gateway before it."""
    return await start_gateway(UPSTREAM_URL=server.url)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        pytest.param({"credentials": ("john", "wrong")}, 401, id="wrong_password"),
        pytest.param({"headers": {"Authorization": "Bearer x"}}, 401, id="no_credentials"),
        pytest.param({"headers": {"Origin": "https://evil.example"}}, 403, id="other_origin"),
        pytest.param({"headers": {"Origin": "null"}}, 403, id="opaque_origin"),
    ],
)
async def test_refused_handshake(gateway, server, more, status):
    """P21: a handshake is refused like any other request, and one of another site's page."""
    with pytest.raises(WSServerHandshakeError) as refused:
        async with websocket(gateway.port, **more):
            pass

    assert (status, []) == (refused.value.status, server.requests)


async def test_policy(start_gateway, server):
    """P21: a caller whose token the policy does not permit opens nothing."""
    gateway = await start_gateway(UPSTREAM_URL=server.url, ROLES_REQUIRED="admin")
    with pytest.raises(WSServerHandshakeError) as refused:
        async with websocket(gateway.port):
            pass

    assert (403, []) == (refused.value.status, server.requests)


@pytest.mark.parametrize(
    ("origins", "origin"),
    [
        pytest.param("", "http://127.0.0.1:{port}", id="own"),
        pytest.param("", "https://127.0.0.1:{port}", id="own_over_tls"),
        pytest.param("https://app.example", "https://APP.example", id="listed"),
        pytest.param("*", "null", id="all"),
    ],
)
async def test_admitted_origin(start_gateway, server, origins, origin):
    """P21: pages of the gateway's own host and of listed origins may open WebSockets."""
    gateway = await start_gateway(UPSTREAM_URL=server.url, WEBSOCKET_ORIGINS=origins)
    headers = {"Origin": origin.format(port=gateway.port)}
    async with websocket(gateway.port, headers=headers) as socket:
        await socket.send_str("hello")

        assert "hello" == (await receive(socket)).data


async def test_switched_off(start_gateway, server):
    """P21: with WEBSOCKETS=false the handshake goes on as a plain request."""
    gateway = await start_gateway(UPSTREAM_URL=server.url, WEBSOCKETS="false")
    with pytest.raises(WSServerHandshakeError) as refused:
        async with websocket(gateway.port):
            pass

    [seen] = server.requests
    assert (200, None) == (refused.value.status, seen.headers.get("Upgrade"))


async def test_limit_per_user(start_gateway, server, provider):
    """R8: at the bound of a user the next one is 429, for others not, and after an end not."""
    provider.users["jane"] = "roe"
    gateway = await start_gateway(UPSTREAM_URL=server.url, WEBSOCKET_MAX_PER_USER="2")
    async with websocket(gateway.port), websocket(gateway.port) as second:
        with pytest.raises(WSServerHandshakeError) as refused:
            async with websocket(gateway.port):
                pass
        async with websocket(gateway.port, ("jane", "roe")) as other:
            await other.send_str("hello")
            assert "hello" == (await receive(other)).data
        await second.close()
        await until(lambda: metrics.TUNNELS._value.get() == 1)
        async with websocket(gateway.port) as third:
            await third.send_str("hello")
            assert "hello" == (await receive(third)).data

    assert (429, 4) == (refused.value.status, len(server.requests))


async def test_end_with_the_token(start_gateway, server, provider):
    """P21: the connection is cut when the access token expires; the next one logs in again."""
    provider.lifetime = provider.expires_in = 3
    gateway = await start_gateway(UPSTREAM_URL=server.url, CACHE_MARGIN="0")
    async with websocket(gateway.port) as socket:
        end = await receive(socket)

        assert (WSMsgType.CLOSED, 1006) == (end.type, socket.close_code)
    await server.ended(1006)
    async with websocket(gateway.port):
        assert 2 == len(provider.token_calls)


async def test_outlives_the_token(start_gateway, server, provider):
    """P21: without WEBSOCKET_END_WITH_TOKEN neither token nor REQUEST_TIMEOUT end a connection."""
    provider.lifetime = provider.expires_in = 1
    gateway = await start_gateway(
        UPSTREAM_URL=server.url,
        CACHE_MARGIN="0",
        WEBSOCKET_END_WITH_TOKEN="false",
        REQUEST_TIMEOUT="2",
    )
    async with websocket(gateway.port) as socket:
        await asyncio.sleep(3.5)
        await socket.send_str("hello")

        assert "hello" == (await receive(socket)).data


@pytest.mark.parametrize(
    ("query", "ends"),
    [
        pytest.param("", True, id="everything"),
        pytest.param("?user=john", True, id="the_user"),
        pytest.param("?user=jane", False, id="another_user"),
    ],
)
async def test_purge(gateway, query, ends):
    """A7, P21: a purge of its user ends a connection, one of another user does not."""
    async with websocket(gateway.port) as socket, ClientSession() as session:
        url = f"http://127.0.0.1:{gateway.admin_port}/cache{query}"
        async with session.delete(url) as answer:
            assert 200 == answer.status
        await socket.send_str("hello")
        seen = await receive(socket)

        assert (WSMsgType.CLOSED if ends else WSMsgType.TEXT) is seen.type


async def test_purge_on_another_replica(start_gateway, server, start_redis):
    """A7, P21: a purge ends the connections of other replicas too."""
    shared = {"REDIS_URL": start_redis().url, "CACHE_SECRET": "n" * 32, "UPSTREAM_URL": server.url}
    first, second = [await start_gateway(**shared) for _ in range(2)]
    async with websocket(first.port) as socket, ClientSession() as session:
        url = f"http://127.0.0.1:{second.admin_port}/cache?user=JOHN"
        async with session.delete(url) as answer:
            assert 200 == answer.status

        assert WSMsgType.CLOSED is (await receive(socket)).type


async def test_callers_token(start_gateway, server, provider):
    """P21: a caller with a token of its own opens a connection that ends with that token."""
    gateway = await start_gateway(
        UPSTREAM_URL=server.url, AUTH_METHODS="bearer", AUDIENCE_REQUIRED="api"
    )
    provider.lifetime = 3
    token = provider.mint("mary", "another-client")
    async with websocket(gateway.port, headers={"Authorization": f"Bearer {token}"}) as socket:
        assert WSMsgType.CLOSED is (await receive(socket)).type

    [seen] = server.requests
    assert f"Bearer {token}" == seen.headers["Authorization"]


async def test_idle_timeout(start_gateway, server):
    """P21: a silent connection is closed after WEBSOCKET_IDLE_TIMEOUT."""
    gateway = await start_gateway(UPSTREAM_URL=server.url, WEBSOCKET_IDLE_TIMEOUT="1")
    before = metrics.TUNNELS_ENDED.labels("idle")._value.get()
    async with websocket(gateway.port) as socket:
        end = await receive(socket)

        assert (WSMsgType.CLOSED, 1006) == (end.type, socket.close_code)
    await server.ended(1006)
    assert before + 1 == metrics.TUNNELS_ENDED.labels("idle")._value.get()


async def test_idle_timeout_counts_from_the_last_byte(start_gateway, server):
    """P21: a WebSocket on which something is said again and again is not idle."""
    gateway = await start_gateway(UPSTREAM_URL=server.url, WEBSOCKET_IDLE_TIMEOUT="4")
    async with websocket(gateway.port) as socket:
        for _ in range(25):
            await socket.send_str("still here")
            assert "still here" == (await receive(socket)).data
            await asyncio.sleep(0.2)
