from __future__ import annotations

import json

import pytest

from gateway.oauth import base64url
from gateway.oauth.jws import (
    InvalidTokenError,
    verify_signature,
)
from tests.oauth.minting import (
    VECTORS,
    generate_ec,
    key_set,
    needs_vectors,
    public_jwk,
)

KEYS = key_set(public_jwk(generate_ec(), "e"))

# RFC 7515 Appendix A: the payload of its examples.
PAYLOAD = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
A2_KEY = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt"
    "0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5"
    "rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxX"
    "FvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
}
A2_TOKEN = (
    f"eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZm"
    "h7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO7"
    "5vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7"
    "noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
A3_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
A3_TOKEN = (
    f"eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISl"
    "SApmWQxfKTUJqPP3-Kg6NU1Q"
)
ED_KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
ED_TOKEN = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3"
    "AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


@pytest.mark.parametrize(
    ("jwk", "token", "payload"),
    [
        pytest.param(A2_KEY, A2_TOKEN, base64url.decode(PAYLOAD), id="RFC 7515 A.2 RS256"),
        pytest.param(A3_KEY, A3_TOKEN, base64url.decode(PAYLOAD), id="RFC 7515 A.3 ES256"),
        pytest.param(ED_KEY, ED_TOKEN, b"Example of Ed25519 signing", id="RFC 8037 A.4 EdDSA"),
    ],
)
def test_examples_of_the_rfcs_verify(jwk, token, payload):
    """The signed examples of RFC 7515 and RFC 8037 verify with their keys."""
    assert payload == verify_signature(token, key_set(jwk)).payload


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(
            f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1"
            "gFWFOEjXk",
            id="RFC 7519 3.1 HS256",
        ),
        pytest.param(f"eyJhbGciOiJub25lIn0.{PAYLOAD}.", id="RFC 7519 6.1 none"),
    ],
)
def test_other_examples_of_rfc_7519_are_refused(token):
    """Its HS256 and its unsecured example are no tokens for us (J1, J3)."""
    with pytest.raises(InvalidTokenError):
        verify_signature(token, KEYS)


@needs_vectors
@pytest.mark.parametrize(
    ("jws", "jwk"),
    [
        pytest.param("4_1.rsa_v15_signature", "3_3.rsa_public_key", id="RFC 7520 4.1 RS256"),
        pytest.param("4_2.rsa-pss_signature", "3_3.rsa_public_key", id="RFC 7520 4.2 PS384"),
        pytest.param("4_3.ecdsa_signature", "3_1.ec_public_key", id="RFC 7520 4.3 ES512"),
    ],
)
def test_examples_of_rfc_7520_verify(jws, jwk):
    """The asymmetric examples of the JOSE cookbook verify with its public keys."""
    folder = VECTORS / "jose-cookbook"
    example = json.loads((folder / f"jws/{jws}.json").read_text())
    keys = key_set(json.loads((folder / f"jwk/{jwk}.json").read_text()))
    verified = verify_signature(example["output"]["compact"], keys)
    assert example["input"]["payload"].encode() == verified.payload
