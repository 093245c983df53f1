"""The gateway proves who it is at the token endpoint, and the caller never sees how."""

from __future__ import annotations

import json
import ssl

import aiohttp
import pytest
import trustme

from gateway.oauth.client_key import generate_client_key
from tests.fakes.caller import basic, request
from tests.fakes.strict_provider import StrictProvider

AUTHORITY = trustme.CA()
SECRET = "CANARY-gateway-secret-of-more-than-32-bytes"
USERS = {"john": "doe", "jane": "roe"}
KEY = generate_client_key("ES256")


@pytest.fixture
def method():
    """Name the one method the provider takes."""
    return "private_key_jwt"


@pytest.fixture
async def provider(method):
    """Run a provider that takes one method and no other."""
    async with StrictProvider(method, client_secret=SECRET) as fake:
        fake.users = USERS
        yield fake


@pytest.fixture
def key_file(tmp_path):
    """Return a file with a private key, known to the provider."""
    path = tmp_path / "key.pem"
    path.write_bytes(KEY.pem())
    return path


async def key_set_of(gateway):
    """Fetch the gateway's own keys from its admin port."""
    url = f"http://127.0.0.1:{gateway.admin_port}/openid-connect/jwks"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert (response.status, response.content_type) == (200, "application/json")
        return json.loads(await response.read())


async def log_in(caller, users=("john", "jane")):
    """Log in each user and return the statuses."""
    sent = [request("GET", "/", [basic(user, USERS[user])]) for user in users]
    return [(await caller.send(each)).status for each in sent]


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        pytest.param("client_secret_basic", {"CLIENT_AUTH": "client_secret_basic"}, id="basic"),
        pytest.param("client_secret_post", {}, id="post-discovered"),
        pytest.param("client_secret_jwt", {"CLIENT_AUTH": "client_secret_jwt"}, id="secret-jwt"),
        pytest.param("client_secret_jwt", {}, id="secret-jwt-discovered"),
        pytest.param("none", {"CLIENT_AUTH": "none", "CLIENT_SECRET": ""}, id="public"),
    ],
)
async def test_every_login_is_authenticated(start_gateway, call, provider, method, settings):
    """Each login is authenticated anew: an assertion that came before would be refused."""
    gateway = await start_gateway(**settings)
    assert await log_in(await call(gateway)) == [200, 200]
    assert [each.client_id for each in provider.token_calls] == [provider.client_id] * 2
    assert await key_set_of(gateway) == {"keys": []}


@pytest.mark.parametrize("configured", ["private_key_jwt", ""], ids=["set", "discovered"])
async def test_private_key(start_gateway, call, provider, key_file, configured):
    """RFC 7523 §2.2: what the admin port publishes verifies each login's own assertion."""
    settings = {"CLIENT_SECRET": "", "CLIENT_KEY_FILE": str(key_file)}
    gateway = await start_gateway(**settings, CLIENT_AUTH=configured)
    provider.client_jwks = await key_set_of(gateway)
    assert await log_in(await call(gateway)) == [200, 200]
    assert provider.client_jwks == {"keys": [KEY.jwk()]}
    assert len(provider.used) == 2


async def test_a_generated_key_outlives_the_gateway(start_gateway, call, provider, tmp_path):
    """A key generated at the first start is the one that signs after the next."""
    path = tmp_path / "new" / "key.pem"
    settings = {"CLIENT_SECRET": "", "CLIENT_AUTH": "private_key_jwt", "CLIENT_ALG": "EdDSA"}
    first = await start_gateway(**settings, CLIENT_KEY_FILE=str(path))
    provider.client_jwks = await key_set_of(first)
    second = await start_gateway(**settings, CLIENT_KEY_FILE=str(path))
    assert await log_in(await call(second)) == [200, 200]


async def test_the_token_endpoint_as_audience(start_gateway, call, provider, key_file):
    """A provider that insists gets its token endpoint as the audience (RFC 7523 §3)."""
    provider.audience = f"{provider.issuer}/token"
    provider.client_jwks = {"keys": [KEY.jwk()]}
    settings = {"CLIENT_SECRET": "", "CLIENT_KEY_FILE": str(key_file)}
    by_issuer = await start_gateway(**settings)
    by_endpoint = await start_gateway(**settings, CLIENT_ASSERTION_AUDIENCE="token_endpoint")
    assert await log_in(await call(by_issuer), ["john"]) == [502]
    assert await log_in(await call(by_endpoint), ["john"]) == [200]


async def test_a_refused_gateway_is_not_the_callers_fault(
    start_gateway, call, provider, key_file, written
):
    """With a key the provider does not know: 502, no challenge, and no JWT in the log (L1)."""
    gateway = await start_gateway(CLIENT_SECRET="", CLIENT_KEY_FILE=str(key_file))
    response = await (await call(gateway)).send(request("GET", "/", [basic("john", "doe")]))
    assert response.status == 502
    assert response.values(b"www-authenticate") == []
    [sent] = provider.token_calls
    shown = json.dumps(written()) + response.body.decode("ascii")
    assert sent.form["client_assertion"] not in shown
    assert "eyJ" not in shown
    assert "PRIVATE" not in shown


async def test_the_callers_own_client_has_its_secret(start_gateway, call, provider, key_file):
    """Beside a gateway that signs, a caller's pair authenticates with its secret."""
    provider.auth_methods = ["client_secret_post"]
    gateway = await start_gateway(
        CLIENT_SECRET="",
        CLIENT_AUTH="private_key_jwt",
        CLIENT_KEY_FILE=str(key_file),
        BASIC_GRANT="client_credentials",
    )
    pair = basic("service", "service-secret")
    assert (await (await call(gateway)).send(request("GET", "/", [pair]))).status == 200
    [sent] = provider.token_calls
    assert (sent.auth_method, sent.client_id) == ("client_secret_post", "service")


@pytest.mark.parametrize(("status", "cert"), [(200, "gateway.pem"), (503, "other.pem")])
async def test_certificate(start_gateway, call, tmp_path, status, cert):
    """RFC 8705 §2.1: the connection authenticates; one that is refused is an outage."""
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, authority in (("gateway.pem", AUTHORITY), ("other.pem", trustme.CA())):
        certificate = authority.issue_cert("gateway.example")
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    AUTHORITY.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    async with StrictProvider("tls_client_auth", ssl_context=context) as certified:
        gateway = await start_gateway(
            ISSUER=certified.issuer,
            IDP_CA_FILE=str(tmp_path / "ca.pem"),
            CLIENT_SECRET="",
            CLIENT_AUTH="tls_client_auth",
            CLIENT_CERT_FILE=str(tmp_path / cert),
        )
        assert await log_in(await call(gateway), ["john"]) == [status]
