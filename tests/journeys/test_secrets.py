"""Nothing secret leaves by a log line, an answer or an error, at any level (L1)."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote

import pytest

from tests.fakes.answers import ANSWERS
from tests.fakes.caller import basic, request

PASSWORD = "CANARY-pass word%1"
SECRET = "CANARY-gateway-secret"
CLIENT = "CANARY-client-secret"
FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
JSON = (b"Content-Type", b"application/json")


def spellings(secret):
    """Tell every form in which a secret might show."""
    raw = secret.encode()
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        raw.hex(),
        base64.b64encode(raw).decode().rstrip("="),
        hashlib.sha256(raw).hexdigest(),
    }


@pytest.fixture
async def provider(provider):
    """Return a provider whose every secret is a canary."""
    provider.client_secret = SECRET
    provider.users = {"john": PASSWORD}
    provider.clients = {"service": CLIENT}
    return provider


async def test_no_secret_in_any_line_or_answer(start_gateway, call, provider, written):
    """L1: good, wrong, broken and refused requests in every carrier; nothing is written of them."""
    gateway = await start_gateway(
        PASSWORD_PARAM_TYPE="header,query,body",
        CLIENT_CREDENTIALS_PARAM_TYPE="header,query,body",
        LOG_LEVEL="debug",
    )
    pair = f"username=john&password={quote(PASSWORD)}"
    messages = [
        request("GET", "/", [basic("john", PASSWORD)]),
        request("GET", "/", [basic("john", PASSWORD + "x")]),
        request("GET", "/", [basic("service", CLIENT)]),
        request("GET", f"/?{pair}"),
        request("GET", f"/?{pair}&{pair}"),
        request("POST", "/", [FORM], pair.encode()),
        request("POST", "/", [FORM], f"{pair}&{pair}".encode()),
        request("POST", "/", [JSON], f'{{"username":"john","password":"{PASSWORD}"'.encode()),
        request("GET", "/", [(b"Authorization", b"Basic " + PASSWORD.encode())]),
        request("GET", "/", [(b"Authorization", b"Bearer " + PASSWORD.encode())]),
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization : Basic "
        + basic("john", PASSWORD)[1]
        + b"\r\n\r\n",
        b"GET /?" + pair.encode() + b" HTTP/9.9\r\nHost: x\r\n\r\n",
        request("GET", f"http://john:{quote(PASSWORD)}@x/"),
    ]
    answers = [await (await call(gateway)).send(message) for message in messages]
    for name in (
        "login_page",
        "keycloak_wrong_client_secret",
        "connection_dropped",
        "truncated_json",
    ):
        provider.answer_next_token(ANSWERS[name])
        answers.append(
            await (await call(gateway)).send(request("GET", "/", [basic(name, PASSWORD)]))
        )

    texts = [repr(line) for line in written()]
    texts += [
        repr((each.status, each.headers, each.body)) for each in answers if each.status != 200
    ]

    assert len(messages) + 4 <= len(texts)
    leaked = [
        text
        for text in texts
        for secret in (PASSWORD, SECRET, CLIENT)
        for spelling in spellings(secret)
        if spelling in text
    ]
    assert leaked == []
    assert [text for text in texts if "eyJ" in text] == []


async def test_every_request_has_one_access_line(gateway, call, provider, written):
    """A request that is answered, refused or unreadable has exactly one access line."""
    for message in (
        request("GET", "/", [basic("john", PASSWORD)]),
        request("GET", "/", [basic("john", "wrong")]),
        request("GET", "/"),
        request("BREW", "/"),
        b"nonsense\r\n\r\n",
    ):
        await (await call(gateway)).send(message)

    lines = [line for line in written() if line["logger"] == "gateway.access"]

    assert [line["status"] for line in lines] == [200, 401, 401, 400, 400]
    assert len({line["request_id"] for line in lines}) == 5


async def test_users_are_pseudonyms(gateway, call, provider, written):
    """L5: a user is told by the same pseudonym in every line, and never by name."""
    caller = await call(gateway)
    for password in (PASSWORD, "wrong", PASSWORD):
        await caller.send(request("GET", "/", [basic("john", password)]))

    lines = [line for line in written() if line["logger"] == "gateway.access"]

    (user,) = {line["user"] for line in lines}
    assert len(user) == 16
    assert "john" not in repr(lines)
