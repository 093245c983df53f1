"""What each way of authenticating the gateway's client needs, and what is told when it lacks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.oauth.client_key import generate_client_key
from gateway.settings import load
from tests.oauth.minting import generate_ec
from tests.provider.certificates import self_signed
from tests.settings.environments import GOOD, problems, said

if TYPE_CHECKING:
    from pathlib import Path

KEY = generate_client_key("ES256")
BARE = {name: text for name, text in GOOD.items() if name != "CLIENT_SECRET"}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder with a key, a certificate, and a certificate with its key."""
    (tmp_path / "key.pem").write_bytes(KEY.pem())
    certificate = self_signed(KEY.private_key)
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "both.pem").write_bytes(certificate + KEY.pem())
    (tmp_path / "other.pem").write_bytes(self_signed(generate_ec()))
    for file in tmp_path.iterdir():
        file.chmod(0o600)
    return tmp_path


def placed(environ: dict[str, str], files: Path) -> dict[str, str]:
    """Return the environment with the files' paths written out."""
    return {
        name: str(files / text) if name.endswith("_FILE") else text
        for name, text in environ.items()
    }


@pytest.mark.parametrize(
    ("base", "environ"),
    [
        pytest.param(GOOD, {"CLIENT_AUTH": "client_secret_basic"}, id="basic"),
        pytest.param(GOOD, {"CLIENT_AUTH": "client_secret_post"}, id="post"),
        pytest.param(
            GOOD,
            {"CLIENT_AUTH": "client_secret_jwt", "CLIENT_SECRET": "CANARY" * 6},
            id="secret-jwt",
        ),
        pytest.param(
            GOOD,
            {
                "CLIENT_AUTH": "client_secret_jwt",
                "CLIENT_SECRET": "CANARY" * 11,
                "CLIENT_ALG": "HS512",
            },
            id="secret-jwt-HS512",
        ),
        pytest.param(
            BARE, {"CLIENT_AUTH": "private_key_jwt", "CLIENT_KEY_FILE": "key.pem"}, id="key"
        ),
        pytest.param(
            BARE, {"CLIENT_AUTH": "private_key_jwt", "CLIENT_KEY_FILE": "new.pem"}, id="key-to-be"
        ),
        pytest.param(BARE, {"CLIENT_KEY_FILE": "key.pem"}, id="key-from-discovery"),
        pytest.param(
            BARE, {"CLIENT_AUTH": "tls_client_auth", "CLIENT_CERT_FILE": "both.pem"}, id="tls"
        ),
        pytest.param(
            BARE,
            {
                "CLIENT_AUTH": "self_signed_tls_client_auth",
                "CLIENT_CERT_FILE": "cert.pem",
                "CLIENT_KEY_FILE": "key.pem",
            },
            id="self-signed",
        ),
        pytest.param(BARE, {"CLIENT_AUTH": "none"}, id="public"),
        pytest.param(GOOD, {"CLIENT_CERT_FILE": "both.pem"}, id="secret-behind-mutual-tls"),
    ],
)
def test_enough(files: Path, base: dict[str, str], environ: dict[str, str]) -> None:
    """Each method starts with what it needs, and with nothing to warn of."""
    before = sorted(files.iterdir())
    loaded = load(None, {**base, **placed(environ, files)})
    assert loaded.warnings == ()
    assert before == sorted(files.iterdir())


@pytest.mark.parametrize(
    ("base", "environ", "told"),
    [
        pytest.param(BARE, {}, "CLIENT_SECRET: it is required", id="nothing"),
        pytest.param(
            BARE, {"CLIENT_AUTH": "client_secret_post"}, "CLIENT_SECRET: it is", id="post"
        ),
        pytest.param(
            BARE, {"CLIENT_AUTH": "client_secret_jwt"}, "CLIENT_SECRET: it is", id="secret-jwt"
        ),
        pytest.param(
            GOOD,
            {"CLIENT_AUTH": "client_secret_jwt"},
            "CLIENT_SECRET: HS256 needs a secret of 32 bytes",
            id="secret-too-short",
        ),
        pytest.param(
            GOOD,
            {"CLIENT_AUTH": "client_secret_jwt", "CLIENT_ALG": "RS256"},
            "CLIENT_ALG: client_secret_jwt signs with HS256, HS384 or HS512",
            id="RS256-with-a-secret",
        ),
        pytest.param(
            BARE,
            {"CLIENT_AUTH": "private_key_jwt", "CLIENT_ALG": "HS256"},
            "CLIENT_ALG: private_key_jwt does not sign with HS256",
            id="HS256-with-a-key",
        ),
        pytest.param(
            BARE,
            {
                "CLIENT_AUTH": "private_key_jwt",
                "CLIENT_ALG": "RS256",
                "CLIENT_KEY_FILE": "key.pem",
            },
            "CLIENT_KEY_FILE: the file is not usable: the key does not fit RS256; it fits ES256",
            id="key-of-another-algorithm",
        ),
        pytest.param(
            BARE,
            {"CLIENT_AUTH": "private_key_jwt", "CLIENT_KEY_FILE": "cert.pem"},
            "CLIENT_KEY_FILE: the file is not usable",
            id="certificate-as-key",
        ),
        pytest.param(
            BARE,
            {"CLIENT_KEY_FILE": "new.pem"},
            "CLIENT_KEY_FILE: there is no such file; only with CLIENT_AUTH=private_key_jwt",
            id="key-from-discovery-is-not-generated",
        ),
        pytest.param(
            BARE,
            {"CLIENT_AUTH": "tls_client_auth"},
            "CLIENT_CERT_FILE: it is required with CLIENT_AUTH=tls_client_auth",
            id="no-certificate",
        ),
        pytest.param(
            BARE,
            {"CLIENT_AUTH": "tls_client_auth", "CLIENT_CERT_FILE": "cert.pem"},
            "CLIENT_CERT_FILE: the file holds no private key",
            id="certificate-without-key",
        ),
        pytest.param(
            GOOD,
            {"CLIENT_CERT_FILE": "other.pem", "CLIENT_KEY_FILE": "key.pem"},
            "CLIENT_CERT_FILE: certificate and key do not belong together",
            id="key-of-another-certificate",
        ),
        pytest.param(
            {**BARE, "ISSUER": "http://127.0.0.1:8180"},
            {"CLIENT_AUTH": "tls_client_auth", "CLIENT_CERT_FILE": "both.pem"},
            "ISSUER: it must be https with CLIENT_AUTH=tls_client_auth",
            id="tls-without-tls",
        ),
        pytest.param(GOOD, {"CLIENT_ALG": "none"}, "CLIENT_ALG: ", id="alg-none"),
        pytest.param(GOOD, {"CLIENT_ALG": "ES256K"}, "CLIENT_ALG: ", id="alg-unknown"),
        pytest.param(
            GOOD, {"CLIENT_ASSERTION_AUDIENCE": "x"}, "CLIENT_ASSERTION_AUDIENCE: ", id="audience"
        ),
    ],
)
def test_too_little(files: Path, base: dict[str, str], environ: dict[str, str], told: str) -> None:
    """What a method lacks is one problem, under the name of the setting that mends it."""
    [problem] = problems({**base, **placed(environ, files)})
    assert problem.startswith(told)


def test_without_password_no_method_is_judged() -> None:
    """Where callers bring their own clients, the gateway's needs nothing."""
    environ = {name: BARE[name] for name in ("ISSUER", "UPSTREAM_URL")}
    assert said({}).client_alg is None
    load(None, {**environ, "AUTH_METHODS": "client_credentials", "CLIENT_AUTH": "tls_client_auth"})


@pytest.mark.parametrize(
    ("environ", "public", "warning"),
    [
        pytest.param(
            {"CLIENT_AUTH": "private_key_jwt", "CLIENT_KEY_FILE": "key.pem"},
            "key.pem",
            "CLIENT_KEY_FILE: every user of this machine can read the file",
            id="key",
        ),
        pytest.param(
            {"CLIENT_AUTH": "tls_client_auth", "CLIENT_CERT_FILE": "both.pem"},
            "both.pem",
            "CLIENT_CERT_FILE: every user of this machine can read the file",
            id="certificate-with-key",
        ),
        pytest.param(
            {"CLIENT_AUTH": "none", "CLIENT_SECRET": "CANARY"},
            "cert.pem",
            "CLIENT_SECRET: it is not used: CLIENT_AUTH is none",
            id="secret-for-nothing",
        ),
    ],
)
def test_warnings(files: Path, environ: dict[str, str], public: str, warning: str) -> None:
    """A key everybody can read, or a secret nobody uses, is told and does not stop the start."""
    (files / public).chmod(0o644)
    assert load(None, {**BARE, **placed(environ, files)}).warnings == (warning,)
