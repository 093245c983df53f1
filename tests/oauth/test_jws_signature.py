from __future__ import annotations

import json
from itertools import product

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gateway.oauth import base64url
from gateway.oauth.jws import (
    MAX_TOKEN_LENGTH,
    InvalidTokenError,
    OpaqueTokenError,
    verify_signature,
)
from tests.oauth.minting import (
    generate_ec,
    generate_ed25519,
    generate_rsa,
    key_set,
    mint,
    public_jwk,
    with_header,
    with_signature,
)

RSA = generate_rsa()
EC = generate_ec()
ED = generate_ed25519()
KEYS = key_set(public_jwk(RSA, "r"), public_jwk(EC, "e"), public_jwk(ED, "d"))
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SIGNERS = {"RS256": (RSA, "r"), "ES256": (EC, "e"), "EdDSA": (ED, "d")}


def token_by(alg, **header):
    """Mint a token with ``alg`` under the right kid, its header changed by ``header``."""
    key, kid = SIGNERS[alg]
    return mint(key, alg, {"kid": kid, **header})


GOOD = token_by("RS256")


ES_TOKEN = token_by("ES256")
ES_SIGNATURE = base64url.decode(ES_TOKEN.rpartition(".")[2])
R, S = ES_SIGNATURE[:32], ES_SIGNATURE[32:]
ZERO, ORDER = bytes(32), P256_ORDER.to_bytes(32)
DER = EC.sign(ES_TOKEN.rpartition(".")[0].encode(), ec.ECDSA(ec.hashes.SHA256()))


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(b"", id="J8 empty"),
        pytest.param(ZERO + ZERO, id="J8 r = s = 0"),
        pytest.param(ZERO + S, id="J8 r = 0"),
        pytest.param(R + ZERO, id="J8 s = 0"),
        pytest.param(ORDER + S, id="J8 r = n"),
        pytest.param(R + ORDER, id="J8 s = n"),
        pytest.param(ORDER + ORDER, id="J8 r = s = n"),
        pytest.param(DER, id="J8 DER"),
        pytest.param(ES_SIGNATURE[:-1], id="J8 short"),
        pytest.param(ES_SIGNATURE + b"\0", id="J8 long"),
        pytest.param(b"\0" + R + b"\0" + S, id="J8 leading zeros"),
        pytest.param(S + R, id="J8 swapped"),
    ],
)
def test_odd_ecdsa_signatures_are_refused(signature):
    """Only r and s in range, 32 bytes each, are an ES256 signature (J8)."""
    with pytest.raises(InvalidTokenError, match="signature"):
        verify_signature(with_signature(ES_TOKEN, signature), KEYS)


@pytest.mark.parametrize("alg", ["RS256", "EdDSA"])
@pytest.mark.parametrize("signature", [b"", b"\0", bytes(64), bytes(256), bytes(257)])
def test_odd_signatures_are_refused(alg, signature):
    """Empty, short, long and zero signatures are refused by every algorithm (J8)."""
    with pytest.raises(InvalidTokenError, match="signature"):
        verify_signature(with_signature(token_by(alg), signature), KEYS)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("opaque", id="no dot"),
        pytest.param("a.b", id="two segments"),
        pytest.param(f"{GOOD}.", id="four segments"),
        pytest.param(f"{GOOD}.AA.AA", id="J10 five segments, a JWE"),
        pytest.param("." * MAX_TOKEN_LENGTH, id="J11 many dots"),
        pytest.param(f"{GOOD}=", id="J22 padding"),
        pytest.param(f"{GOOD}==", id="J22 more padding"),
        pytest.param(f" {GOOD}", id="J22 space before"),
        pytest.param(f"{GOOD}\n", id="J22 line break behind"),
        pytest.param(GOOD.replace(".", " .", 1), id="J22 space inside"),
        pytest.param(f"{GOOD}\u200b", id="J22 not ASCII"),
        pytest.param(GOOD.replace(".", "\uff0e"), id="J22 full-width dots"),
        pytest.param(GOOD.rpartition(".")[0] + ".Pz8/", id="J22 slash"),
        pytest.param("eyJhbGciOiJSUzI1NiJ9.AB.AA", id="J22 stray bits"),
    ],
)
def test_other_shapes_are_opaque(token):
    """What is not three canonical base64url segments is no JWS (J10, J11, J22)."""
    with pytest.raises(OpaqueTokenError):
        verify_signature(token, KEYS)


def test_json_serialization_is_opaque():
    """The JSON serialization of a good token is not a compact one (J10)."""
    header, payload, signature = GOOD.split(".")
    flat = {"protected": header, "payload": payload, "signature": signature}
    with pytest.raises(OpaqueTokenError):
        verify_signature(json.dumps(flat), KEYS)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(f"{GOOD}{'A' * MAX_TOKEN_LENGTH}", id="J11 long token"),
        pytest.param(
            with_header(GOOD, {"alg": "RS256", "kid": "r", "x": "x" * 1600}), id="J11 header"
        ),
    ],
)
def test_large_tokens_are_refused(token):
    """Tokens over 16 KiB and headers over 2 KiB are refused before they are decoded (J11)."""
    with pytest.raises(InvalidTokenError, match="longer than"):
        verify_signature(token, KEYS)


def test_every_character_counts():
    """A good token with any one character exchanged for any other is refused (J22, N7)."""
    token = token_by("EdDSA")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/ "
    accepted = [
        spoilt
        for position, character in product(range(len(token)), alphabet)
        if (spoilt := token[:position] + character + token[position + 1 :]) != token
        and verifies(spoilt)
    ]
    assert accepted == []


MUTATION = st.tuples(st.integers(0, 10_000), st.integers(0, 3), st.text(max_size=3))


@given(st.sampled_from(sorted(SIGNERS)), st.lists(MUTATION, min_size=1, max_size=3))
def test_any_mutation_is_refused(alg, mutations):
    """A good token with pieces cut out, replaced or put in is refused (J22, N7)."""
    original = spoilt = TOKENS[alg]
    for position, length, text in mutations:
        start = position % (len(spoilt) + 1)
        spoilt = spoilt[:start] + text + spoilt[start + length :]
    assert verifies(spoilt) is (spoilt == original)


TOKENS = {alg: token_by(alg) for alg in SIGNERS}


@given(
    st.text(max_size=60)
    | st.lists(st.binary(max_size=20), max_size=5).map(
        lambda parts: ".".join(map(base64url.encode, parts))
    )
)
def test_any_text_is_refused(token):
    """No text raises anything but the errors of a token (N10)."""
    assert not verifies(token)


def verifies(token):
    """Tell whether the signature of ``token`` verifies; other errors than a token's are let out."""
    try:
        verify_signature(token, KEYS)
    except InvalidTokenError:
        return False
    return True
