"""Callers that bring a refresh token: the settings, their requests, and what the provider saw."""

from __future__ import annotations

import functools

import aiohttp

from gateway.metrics import REDIS_FAILURES
from tests.fakes.caller import RawCaller, request

FIELD = b"X-Refresh-Token"
METHOD = {
    "AUTH_METHODS": "password,client_credentials,refresh_token",
    "REFRESH_TOKEN_PARAM_NAME": "X-Refresh-Token",
}
EVERYWHERE = {
    "AUTH_METHODS": "bearer,password,refresh_token",
    "AUDIENCE_REQUIRED": "api",
    "BEARER_TOKEN_PARAM_TYPE": "header,query,body",
    "PASSWORD_PARAM_TYPE": "header,query,body",
    "REFRESH_TOKEN_PARAM_NAME": "refresh",
    "REFRESH_TOKEN_PARAM_TYPE": "header,query,body",
}
UNCACHED = {**METHOD, "CACHE_TTL_MAX": "0", "CACHE_TTL_NEG": "0"}
CHALLENGE = b'Bearer realm="bearergate", error="invalid_token"'
FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
JSON = (b"Content-Type", b"application/json")


def two_sessions(provider):
    """Let the provider rotate, and let two people have logged in there already."""
    provider.refresh_tokens = True
    provider.sessions = {"marys-first": "mary", "pauls-first": "paul"}
    return provider


def while_redis_answers(test):
    """Try a test again that fails while Redis was too slow for a busy machine: then 503 is right.

    The provider is as it was each time; gateways and Redis are what the test makes of them.
    """

    @functools.wraps(test)
    async def patient(**fixtures):
        for _ in range(5):
            failures = REDIS_FAILURES._value.get()
            try:
                return await test(**fixtures)
            except (AssertionError, TimeoutError):
                if REDIS_FAILURES._value.get() == failures:
                    raise
            provider = fixtures["provider"]
            if provider.sessions:
                two_sessions(provider)
            provider.gate.set()
            provider.token_calls.clear()
            provider.revoked.clear()
        return await test(**fixtures)

    return patient


def get(token="marys-first", path="/"):  # noqa: S107 - of a test provider
    """Write a request that carries a refresh token in its field."""
    return request("GET", path, [(FIELD, token.encode())])


def spent(provider):
    """Tell which refresh tokens the provider was sent, in order."""
    return [call.form.get("refresh_token") for call in provider.token_calls]


async def send(gateway, message, source=None):
    """Send one request on a connection of its own."""
    async with RawCaller(gateway.port, source=source) as caller:
        return await caller.send(message)


async def ask(gateway, message=None):
    """Send one request with Mary's refresh token, or this one, and return its status."""
    async with RawCaller(gateway.port, within=60) as caller:
        return (await caller.send(message or get())).status


async def served(gateway):
    """Tell whether such a request is let through."""
    return await ask(gateway) == 200


async def purge(gateway, query=""):
    """Purge and return what the admin port answers."""
    url = f"http://127.0.0.1:{gateway.admin_port}/cache{query}"
    async with aiohttp.ClientSession() as session, session.delete(url) as response:
        return await response.json()
