from __future__ import annotations

import pytest

from gateway.errors import ConfigurationError
from gateway.oauth.credentials import Challenge


@pytest.mark.parametrize(
    ("challenge", "expected"),
    [
        pytest.param(Challenge("Basic", "gw"), 'Basic realm="gw", charset="UTF-8"', id="B3"),
        pytest.param(
            Challenge("basic", 'a"b\\c'), r'basic realm="a\"b\\c", charset="UTF-8"', id="escaped"
        ),
        pytest.param(Challenge("Bearer", ""), 'Bearer realm=""', id="Bearer has no charset"),
        pytest.param(
            Challenge("Bearer", "gw", "insufficient_scope", "orders.read"),
            'Bearer realm="gw", error="insufficient_scope", scope="orders.read"',
            id="RFC 6750 3",
        ),
    ],
)
def test_challenge_is_written(challenge, expected):
    """A challenge is a scheme and quoted parameters; Basic asks for UTF-8 (B3)."""
    assert expected == challenge.write()


@pytest.mark.parametrize(
    "realm",
    [
        pytest.param("a\r\nSet-Cookie: x=y", id="CR LF"),
        pytest.param("a\x00", id="NUL"),
        pytest.param("\x7f", id="DEL"),
        pytest.param("é", id="not ASCII"),
    ],
)
def test_unwritable_realm_is_refused(realm):
    """A realm that no quoted-string of ASCII can hold stops the start."""
    with pytest.raises(ConfigurationError):
        Challenge("Basic", realm)
