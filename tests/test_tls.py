"""The certificate of the proxy port, read from files."""

from __future__ import annotations

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from gateway.tls import CertificateError, ServerCertificate, client_context
from tests.provider.certificates import self_signed
from tests.settings.environments import GOOD, problems

KEY = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = self_signed(KEY)


def pem(key, form=PrivateFormat.PKCS8, encryption=None):
    """Write a private key."""
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


@pytest.fixture
def files(tmp_path):
    """Return a function that writes a certificate and a key file and returns their paths."""

    def write(certificate, key):
        paths = tmp_path / "cert.pem", tmp_path / "key.pem"
        for path, data in zip(paths, (certificate, key), strict=True):
            if data is not None:
                path.write_bytes(data)
                path.chmod(0o600)
        return paths

    return write


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        pytest.param(CERTIFICATE, pem(KEY), id="two files"),
        pytest.param(CERTIFICATE + pem(KEY), None, id="one file"),
        pytest.param(CERTIFICATE, pem(KEY, PrivateFormat.TraditionalOpenSSL), id="SEC 1 key"),
    ],
)
def test_good(files, certificate, key):
    """A chain and its key in PEM, in two files or in one, are what is shown."""
    cert_file, key_file = files(certificate, key)

    certificate = ServerCertificate(cert_file, None if key is None else key_file)

    assert len(certificate.context.get_ciphers()) > 0


def test_no_trust_anchors(tmp_path):
    """A file without certificates is no set of trust anchors."""
    file = tmp_path / "ca.pem"
    file.write_text("nothing")

    with pytest.raises(CertificateError, match="holds no usable CA certificates"):
        client_context(file)


ENCRYPTED = BestAvailableEncryption(b"CANARY")
WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 - what is to be refused
WRONG = {
    "no-certificate-file": (None, pem(KEY), "a file cannot be read (No such file or directory)"),
    "no-key-file": (CERTIFICATE, None, "a file cannot be read (No such file or directory)"),
    "another-key": (
        CERTIFICATE,
        pem(ec.generate_private_key(ec.SECP256R1())),
        "certificate and key do not belong together",
    ),
    "encrypted-key": (CERTIFICATE, pem(KEY, encryption=ENCRYPTED), "the private key is encrypted"),
    "encrypted-old-form": (
        CERTIFICATE,
        pem(KEY, PrivateFormat.TraditionalOpenSSL, ENCRYPTED),
        "the private key is encrypted",
    ),
    "key-is-a-certificate": (CERTIFICATE, CERTIFICATE, "the key file holds no private key in PEM"),
    "certificate-is-text": (b"CANARY", pem(KEY), "certificate or key is not in PEM, or too weak"),
    "weak": (self_signed(WEAK), pem(WEAK), "certificate or key is not in PEM, or too weak"),
}


@pytest.mark.parametrize(
    ("certificate", "key", "told"), [pytest.param(*row, id=name) for name, row in WRONG.items()]
)
def test_wrong(files, certificate, key, told):
    """What cannot be used is said before anything listens, with the setting's name."""
    cert_file, key_file = files(certificate, key)

    with pytest.raises(CertificateError, match="^" + told.replace("(", r"\(").replace(")", r"\)")):
        ServerCertificate(cert_file, key_file)

    for whose in ("TLS", "UPSTREAM"):
        environ = {f"{whose}_CERT_FILE": str(cert_file), f"{whose}_KEY_FILE": str(key_file)}
        (problem,) = problems(GOOD | environ)
        assert problem.startswith(f"{whose}_CERT_FILE: {told}")


def test_key_is_nowhere(files):
    """A certificate without a key says where the key may be."""
    cert_file, _ = files(CERTIFICATE, None)

    (problem,) = problems({**GOOD, "TLS_CERT_FILE": str(cert_file)})
    assert problem.startswith("TLS_CERT_FILE: the file holds no private key; add it there")


@pytest.mark.parametrize("whose", ["TLS", "UPSTREAM"])
def test_key_without_certificate(files, whose):
    """A key alone serves nothing."""
    _, key_file = files(None, pem(KEY))

    assert problems({**GOOD, f"{whose}_KEY_FILE": str(key_file)}) == (
        f"{whose}_KEY_FILE: it needs {whose}_CERT_FILE: the certificate in PEM",
    )


def test_broken_reload(files):
    """A certificate that is not usable does not replace the one that is shown."""
    paths = files(CERTIFICATE, pem(KEY))
    certificate = ServerCertificate(*paths)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").cert_chain_pems[0].write_to_path(str(paths[0]))

    with pytest.raises(CertificateError, match="do not belong together"):
        certificate.reload()

    assert certificate.context is certificate._newest
