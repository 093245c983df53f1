"""The files of the gateway's own client authentication: read, generated, never overwritten."""

from __future__ import annotations

import json
import ssl
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from gateway.errors import ConfigurationError
from gateway.oauth.client_key import generate_client_key
from gateway.provider.client_files import (
    ClientFileError,
    _write_new,
    default_key_file,
    find_key_file,
    is_public_key_file,
    keep_client_key,
    load_certificate,
    needs_key,
    read_certificate,
)
from gateway.provider.own_client import open_own_client
from tests.oauth.minting import generate_ec
from tests.provider.certificates import self_signed

KEY = generate_client_key("ES256")
AUTHORITY = trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert("gateway.example")
CERT_PEM = b"".join(part.bytes() for part in CERTIFICATE.cert_chain_pems)
KEY_PEM = CERTIFICATE.private_key_pem.bytes()


@pytest.fixture
def folder(tmp_path):
    """Return an empty folder."""
    return tmp_path


def mode_of(path):
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_missing_key_is_generated_once(folder):
    """A key is generated where there is none, for its owner alone, and read from then on."""
    path = folder / "new" / "key.pem"
    first, second = keep_client_key(path, "ES256"), keep_client_key(path, "ES256")
    assert first.kid == second.kid
    assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)
    assert [file.name for file in path.parent.iterdir()] == ["key.pem"]


def test_a_key_is_never_overwritten(folder):
    """A key that is there stays, also when it is not the one that is asked for."""
    path = folder / "key.pem"
    path.write_bytes(KEY.pem())
    with pytest.raises(ConfigurationError, match=r"^CLIENT_KEY_FILE: .*does not fit RS256"):
        keep_client_key(path, "RS256")
    assert path.read_bytes() == KEY.pem()
    assert keep_client_key(path, None).kid == KEY.kid


def test_gateways_that_start_at_once_share_one_key(folder):
    """However many begin with no key, all of them end up with the same one."""
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: keep_client_key(folder / "key.pem", "EdDSA"), range(32)))
    assert len({key.kid for key in keys}) == 1
    assert [file.name for file in folder.iterdir()] == ["key.pem"]


def test_who_comes_second_writes_nothing(folder):
    """A file that appeared meanwhile stays as it is, and no draft is left beside it."""
    path = folder / "key.pem"
    assert [_write_new(path, data) for data in (b"first", b"second")] == [True, False]
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {"key.pem": b"first"}


@pytest.mark.parametrize(
    ("environ", "where"),
    [
        pytest.param({"XDG_STATE_HOME": "/var/state"}, "/var/state", id="XDG_STATE_HOME"),
        pytest.param({"HOME": "/home/x"}, "/home/x/.local/state", id="home"),
        pytest.param(
            {"XDG_STATE_HOME": "", "HOME": "/home/x"}, "/home/x/.local/state", id="empty-is-unset"
        ),
        pytest.param(
            {"XDG_STATE_HOME": "a/b", "HOME": "/home/x"}, "/home/x/.local/state", id="relative"
        ),
    ],
)
def test_default_place(environ, where):
    """A key without a named file is state of the user the gateway runs as."""
    assert str(default_key_file(environ)) == f"{where}/bearergate/client_key.pem"


def test_no_home_directory():
    """A user without a home directory has to name the file."""
    with pytest.raises(ClientFileError, match="no home directory"):
        default_key_file({})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "the file is not usable: it is neither", id="empty"),
        pytest.param(CERT_PEM, "the file is not usable: it is neither", id="certificate"),
        pytest.param(b"x" * 100_000 + KEY.pem(), "not usable", id="far-too-large"),
    ],
)
def test_wrong_key_file(folder, content, reason):
    """A file that holds no usable key is told so."""
    path = folder / "key.pem"
    path.write_bytes(content)
    with pytest.raises(ClientFileError, match=reason):
        find_key_file(path, None)


def test_key_file_that_cannot_be_read(folder):
    """A directory, or a file below one, is no key file."""
    with pytest.raises(ClientFileError, match="cannot be read"):
        find_key_file(folder, None)
    assert find_key_file(folder / "missing", None) is None


def test_key_file_that_cannot_be_written(folder):
    """Where no key can be written, the start ends with the fix."""
    (folder / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="CLIENT_KEY_FILE: the file cannot be read"):
        keep_client_key(folder / "file" / "key.pem", None)
    with pytest.raises(ConfigurationError, match=r"cannot be written .*; name a file"):
        keep_client_key(folder / ("x" * 250) / ("y" * 250), "EdDSA")


@pytest.mark.parametrize(
    ("content", "mode", "public"),
    [
        pytest.param(KEY.pem(), 0o600, False, id="private"),
        pytest.param(KEY.pem(), 0o640, False, id="group"),
        pytest.param(KEY.pem(), 0o644, True, id="everybody"),
        pytest.param(b'{"kty":"EC"}', 0o604, True, id="JWK"),
        pytest.param(CERT_PEM, 0o644, False, id="certificate-alone"),
        pytest.param(CERT_PEM + KEY_PEM, 0o644, True, id="certificate-and-key"),
    ],
)
def test_public_key_file(folder, content, mode, public):
    """A key everybody can read is worth a warning; a certificate alone is not."""
    path = folder / "key.pem"
    path.write_bytes(content)
    path.chmod(mode)
    assert is_public_key_file(path) is public


def test_missing_file_is_not_public(folder):
    """A file that is not there cannot be read by anybody."""
    assert not is_public_key_file(folder / "key.pem")


@pytest.mark.parametrize(
    ("method", "key_file", "cert_file", "needed"),
    [
        pytest.param("private_key_jwt", None, None, True, id="named"),
        pytest.param("private_key_jwt", None, "c", True, id="named-beside-a-certificate"),
        pytest.param(None, "k", None, True, id="from-discovery"),
        pytest.param(None, "k", "c", False, id="key-of-the-certificate"),
        pytest.param(None, None, None, False, id="nothing"),
        pytest.param("tls_client_auth", "k", "c", False, id="tls"),
        pytest.param("client_secret_basic", "k", None, False, id="secret"),
    ],
)
def test_who_needs_a_key(method, key_file, cert_file, needed):
    """Only a client that may sign has its key read, and only a named method generates one."""
    assert needs_key(method, key_file, cert_file) is needed


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        pytest.param(CERT_PEM + KEY_PEM, None, id="one-file"),
        pytest.param(KEY_PEM + CERT_PEM, b"", id="one-file-key-first-other-ignored"),
        pytest.param(CERT_PEM, KEY_PEM, id="two-files"),
    ],
)
def test_certificate(folder, certificate, key):
    """A certificate is loaded with the key in its file, else with that of CLIENT_KEY_FILE."""
    (folder / "cert.pem").write_bytes(certificate)
    (folder / "key.pem").write_bytes(key or b"")
    key_file = None if key is None else folder / "key.pem"
    load_certificate(ssl.create_default_context(), folder / "cert.pem", key_file)


def encrypted(key):
    """Write a private key in PEM under a passphrase."""
    form, secret = PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    return key.private_bytes(Encoding.PEM, form, secret)


@pytest.mark.parametrize(
    ("certificate", "key", "reason"),
    [
        pytest.param(CERT_PEM, None, "no private key", id="no-key"),
        pytest.param(CERT_PEM, KEY.pem(), "do not belong together", id="another-key"),
        pytest.param(CERT_PEM, encrypted(KEY.private_key), "encrypted", id="encrypted-key"),
        pytest.param(b"nothing", KEY_PEM, "not in PEM", id="no-certificate"),
        pytest.param(CERT_PEM, json.dumps(KEY.jwk()).encode(), "no private key in PEM", id="JWK"),
        pytest.param(None, KEY_PEM, "cannot be read", id="missing"),
    ],
)
def test_wrong_certificate(folder, certificate, key, reason):
    """A certificate that cannot be shown stops the start, and nobody is asked a passphrase."""
    if certificate is not None:
        (folder / "cert.pem").write_bytes(certificate)
    (folder / "key.pem").write_bytes(key or b"")
    key_file = None if key is None else folder / "key.pem"
    with pytest.raises(ClientFileError, match=reason):
        load_certificate(ssl.create_default_context(), folder / "cert.pem", key_file)


def test_certificate_to_publish(folder):
    """A self-signed certificate is published with its key (RFC 8705 §2.2.2)."""
    path = folder / "cert.pem"
    path.write_bytes(self_signed(generate_ec()))
    own = open_own_client("c", "", "self_signed_tls_client_auth", cert_file=path)
    assert json.loads(own.key_set) == {"keys": [read_certificate(path)]}


@pytest.mark.parametrize("content", [None, b"nothing"], ids=["missing", "no-certificate"])
def test_certificate_that_cannot_be_published(folder, content):
    """Without a certificate to publish the start ends with the setting's name."""
    path = folder / "cert.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"^CLIENT_CERT_FILE: "):
        read_certificate(path)


def test_own_client_signs_with_its_key(folder):
    """With private_key_jwt the key of the file signs, and its public half is published."""
    path = folder / "key.pem"
    own = open_own_client("c", "", "private_key_jwt", alg="ES384", key_file=path)
    read = find_key_file(path, "ES384")
    assert own.client.key.kid == read.kid
    assert json.loads(own.key_set) == {"keys": [own.client.key.jwk()]}
    assert "PRIVATE" not in repr(own)


def test_own_client_with_a_secret(tmp_path):
    """A client with a secret has no key, publishes none, and writes no file."""
    own = open_own_client("c", "s", None, alg="HS512", cert_file=tmp_path / "unread")
    assert (own.client.key, own.client.secret_alg) == (None, "HS512")
    assert json.loads(own.key_set) == {"keys": []}
    assert list(tmp_path.iterdir()) == []
