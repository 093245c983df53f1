from __future__ import annotations

import pytest

from gateway.oauth.grants import (
    ClientCredentialsGrant,
    PasswordGrant,
    RefreshTokenGrant,
    Revocation,
    TokenExchangeGrant,
)


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
        pytest.param(
            RefreshTokenGrant("tGzv3JOkF0XG5Qx2TlKWIA"),
            (("grant_type", "refresh_token"), ("refresh_token", "tGzv3JOkF0XG5Qx2TlKWIA")),
            id="RFC 6749 6",
        ),
        pytest.param(
            TokenExchangeGrant("accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC", "", "", ""),
            (
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token", "accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC"),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
                ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ),
            id="RFC 8693 2.1",
        ),
        pytest.param(
            TokenExchangeGrant("t", "orders", "read write", "https://b.example/api", "urn:x"),
            (
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token", "t"),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
                ("requested_token_type", "urn:x"),
                ("audience", "orders"),
                ("scope", "read write"),
                ("resource", "https://b.example/api"),
            ),
            id="RFC 8693 2.1 with everything",
        ),
        pytest.param(
            Revocation("45ghiukldjahdnhzdauz"),
            (("token", "45ghiukldjahdnhzdauz"), ("token_type_hint", "refresh_token")),
            id="RFC 7009 2.1",
        ),
    ],
)
def test_grant_is_written(grant, expected):
    """A grant is its parameters; an empty scope is not sent (RFC 6749 §3.2)."""
    assert expected == grant.form()


def test_password_is_not_shown():
    """The representation of a grant leaves the password out (L1)."""
    assert "canary" not in repr(PasswordGrant("u", "canary", ""))
    assert "canary" not in repr(TokenExchangeGrant("canary"))


@pytest.mark.parametrize("form", [RefreshTokenGrant("CANARY"), Revocation("CANARY")])
def test_refresh_token_is_not_shown(form):
    """L2: the repr of a form shows no token."""
    assert "CANARY" not in repr(form)
