from __future__ import annotations

import pytest

from gateway.oauth.grants import ClientCredentialsGrant, PasswordGrant


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        pytest.param(
            PasswordGrant("johndoe", "A3ddj3w", ""),
            (("grant_type", "password"), ("username", "johndoe"), ("password", "A3ddj3w")),
            id="RFC 6749 4.3.2",
        ),
        pytest.param(
            PasswordGrant("u", "p", "openid email"),
            (
                ("grant_type", "password"),
                ("username", "u"),
                ("password", "p"),
                ("scope", "openid email"),
            ),
            id="password with a scope",
        ),
        pytest.param(
            ClientCredentialsGrant(""), (("grant_type", "client_credentials"),), id="RFC 6749 4.4.2"
        ),
        pytest.param(
            ClientCredentialsGrant("api"),
            (("grant_type", "client_credentials"), ("scope", "api")),
            id="client_credentials with a scope",
        ),
    ],
)
def test_grant_is_written(grant, expected):
    """A grant is its parameters; an empty scope is not sent (RFC 6749 §3.2)."""
    assert expected == grant.form()


def test_password_is_not_shown():
    """The representation of a grant leaves the password out (L1)."""
    assert "canary" not in repr(PasswordGrant("u", "canary", ""))
