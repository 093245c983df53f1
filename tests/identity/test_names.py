"""Field names: their spellings, and those that no setting may choose."""

from __future__ import annotations

import pytest

from gateway.identity.names import is_managed, plain_name


@pytest.mark.parametrize(
    "spelling", [b"X-User", b"x-user", b"X_User", b"X.User", b"X--User", b"-x-user_", b"x'user"]
)
def test_spellings(spelling):
    """P3: every spelling a server might read as the same name stands for it."""
    assert b"x-user" == plain_name(spelling)


@pytest.mark.parametrize(
    "name",
    [
        "Host", "content-length", "Transfer-Encoding", "Connection", "Upgrade", "TE", "Trailer",
        "Keep-Alive", "Proxy", "Proxy-Connection", "Authorization", "Expect", "X-Forwarded-For",
        "X-FORWARDED-USER", "Forwarded", "X-Real-IP", "X-Request-Id", "Cookie", "Set-Cookie",
        "Content-Type", "Location", "X-Consumer-ID", "X-Consumer-Username", "X-Consumer-Groups",
        "X-Authenticated-Userid", "X-Credential-Identifier", "X-Anonymous-Consumer",
        "Sec-WebSocket-Key", "Access-Control-Allow-Origin", "X-HTTP-Method-Override", "If-Match",
    ],
)  # fmt: skip
def test_managed(name):
    """What the gateway or HTTP gives a meaning is not an operator's to fill."""
    assert is_managed(name)


@pytest.mark.parametrize(
    "name", ["X-User", "X-Email", "Remote-User", "X-Auth-Request-Email", "X-Userinfo", "Tenant"]
)
def test_free(name):
    """Any other name is."""
    assert not is_managed(name)
