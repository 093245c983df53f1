from __future__ import annotations

import json
from urllib.parse import parse_qsl

import jwt
import pytest

from gateway.oauth import base64url
from gateway.oauth.assertion import MIN_SECRET_BYTES, is_long_enough, write_assertion
from gateway.oauth.client_auth import Client, write_token_request
from gateway.oauth.client_key import generate_client_key, read_client_key
from gateway.oauth.grants import PasswordGrant
from gateway.oauth.jws import write_signed
from gateway.oauth.metadata import ProviderMetadata
from tests.oauth.minting import NOW

ISSUER = "https://sso.example"
METADATA = ProviderMetadata(ISSUER, f"{ISSUER}/token", f"{ISSUER}/certs")
SECRET = "s" * 64
RSA = generate_client_key("RS256")
RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
KEYS = {alg: read_client_key(RSA.pem(), alg) for alg in RSA_ALGORITHMS} | {
    alg: generate_client_key(alg) for alg in ("ES256", "ES384", "ES512", "EdDSA")
}


def assertion_of(client):
    """Return the assertion of a token request, and its other fields."""
    request = write_token_request(client, PasswordGrant("u", "p"), metadata=METADATA, now=NOW)
    fields = dict(parse_qsl(request.body.decode("ascii"), strict_parsing=True))
    return fields.pop("client_assertion"), fields


def segments(token):
    """Read header and payload of a compact JWS."""
    return [json.loads(base64url.decode(part)) for part in token.split(".")[:2]]


@pytest.mark.parametrize("alg", KEYS)
def test_private_key_jwt_verifies(alg):
    """RFC 7523 §2.2: whoever has the published key verifies the assertion."""
    client = Client("gateway", "", "private_key_jwt", key=KEYS[alg])
    token, fields = assertion_of(client)
    public = jwt.PyJWK.from_dict(KEYS[alg].jwk())
    claims = jwt.decode(
        token, public, [alg], audience=ISSUER, issuer="gateway", options={"verify_exp": False}
    )
    assert claims["sub"] == "gateway"
    assert fields == {
        "grant_type": "password",
        "username": "u",
        "password": "p",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }


@pytest.mark.parametrize("alg", MIN_SECRET_BYTES)
def test_client_secret_jwt_verifies(alg):
    """OpenID Connect Core §9: the key is the octets of the secret, in UTF-8."""
    secret = "é" * 32
    token, _ = assertion_of(Client("gateway", secret, "client_secret_jwt", secret_alg=alg))
    claims = jwt.decode(
        token, secret.encode(), [alg], audience=ISSUER, options={"verify_exp": False}
    )
    assert claims["iss"] == "gateway"


def test_header_and_claims():
    """RFC 7523 §3, OpenID Connect Core §9: exactly these members, aud as a string."""
    client = Client("gateway", "", "private_key_jwt", key=RSA)
    header, claims = segments(assertion_of(client)[0])
    assert header == {"alg": "RS256", "typ": "JWT", "kid": RSA.kid}
    assert len(claims.pop("jti")) >= 22
    assert claims == {
        "iss": "gateway",
        "sub": "gateway",
        "aud": ISSUER,
        "iat": int(NOW),
        "exp": int(NOW) + 60,
    }


def test_a_secret_has_no_kid():
    """A shared secret is found by the client and is not named in the header."""
    client = Client("gateway", SECRET, "client_secret_jwt", secret_alg="HS256")
    header, _ = segments(assertion_of(client)[0])
    assert header == {"alg": "HS256", "typ": "JWT"}


@pytest.mark.parametrize(
    ("audience", "aud"),
    [
        pytest.param("issuer", ISSUER, id="issuer"),
        pytest.param("token_endpoint", f"{ISSUER}/token", id="token_endpoint"),
    ],
)
def test_audience(audience, aud):
    """RFC 7523 §3: the audience is the issuer, or the token endpoint for those who insist."""
    client = Client("g", "", "private_key_jwt", key=RSA, assertion_audience=audience)
    assert segments(assertion_of(client)[0])[1]["aud"] == aud


def test_every_assertion_is_fresh():
    """RFC 7523 §3: no jti comes twice, so that an assertion cannot be used twice."""
    client = Client("gateway", SECRET, "client_secret_jwt", secret_alg="HS256")
    seen = {segments(assertion_of(client)[0])[1]["jti"] for _ in range(1000)}
    assert len(seen) == 1000


def test_rfc_7515_hmac_example():
    """The MAC of RFC 7515 appendix A.1 is made over the same signing input."""
    key = base64url.decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
    )
    token = write_signed({"alg": "HS256"}, {"iss": "joe"}, key)
    assert jwt.decode(token, key, ["HS256"]) == {"iss": "joe"}


@pytest.mark.parametrize(
    ("secret", "alg", "enough"),
    [
        pytest.param("x" * 32, "HS256", True, id="HS256"),
        pytest.param("x" * 31, "HS256", False, id="HS256-short"),
        pytest.param("é" * 16, "HS256", True, id="octets-and-not-characters"),
        pytest.param("x" * 48, "HS384", True, id="HS384"),
        pytest.param("x" * 47, "HS384", False, id="HS384-short"),
        pytest.param("x" * 63, "HS512", False, id="HS512-short"),
    ],
)
def test_length_of_a_secret(secret, alg, enough):
    """RFC 7518 §3.2: a MAC key has at least as many octets as the hash."""
    assert is_long_enough(secret, alg) is enough


def test_times_are_whole_seconds():
    """RFC 7519 §2: times are written as integers, which every reader takes."""
    form = write_assertion("c", ISSUER, alg="HS256", key=SECRET.encode(), now=NOW + 0.9)
    claims = segments(dict(form)["client_assertion"])[1]
    assert (claims["iat"], claims["exp"]) == (int(NOW), int(NOW) + 60)
