"""What ``explain`` tells, beside what the gateway does."""

from __future__ import annotations

import json

import pytest

from gateway import cli
from gateway.errors import ConfigurationError
from gateway.explain import Question, explain, read_claims, read_field, telling
from gateway.settings import load
from tests.peers.children import free_port

SECRET = "CANARY-0123456789012345678901234567890"
FILE = """
routes:
  - {{name: open, paths: [/open], auth_methods: []}}
  - {{name: tokens, paths: [/tokens], auth_methods: [bearer], audience_required: [orders]}}
  - {{name: sessions, paths: [/sessions], auth_methods: [refresh_token],
     refresh_token_param_name: X-Refresh-Token}}
  - {{name: machines, hosts: [m.example], auth_methods: [client_credentials]}}
  - {{name: form, paths: [/form], password_param_type: [body], auth_methods: [password]}}
  - name: orders
    paths: [/orders]
    methods: [GET]
    audience_required: [orders]
    scopes_required: [read write]
    claims_required: [dept=sales]
    claims_forbidden: [locked]
"""
GOOD = {"sub": "1", "aud": ["orders"], "scope": "read write", "dept": "sales"}


@pytest.fixture
def loaded(tmp_path):
    """Read a file with routes; neither provider nor upstream is there."""
    return read(tmp_path, CACHE_SECRET=SECRET)


def read(folder, **environ):
    """Return what is loaded of the file and an environment with these variables as well."""
    file = folder / "gateway.yaml"
    file.write_text(FILE.format())
    environ |= {
        "ISSUER": f"http://127.0.0.1:{free_port()}",
        "CLIENT_ID": "gateway",
        "CLIENT_SECRET": SECRET,
        "UPSTREAM_URL": f"http://127.0.0.1:{free_port()}",
        "CLIENT_CREDENTIALS_IDS": "svc-*",
    }
    return load(file, environ)


@pytest.mark.parametrize(
    ("question", "told"),
    [
        pytest.param(
            Question("GET", "http://a.example/orders?x=1", "john", GOOD),
            {"status": None, "route": "orders", "grants": ("password", "client_credentials")},
            id="allowed",
        ),
        pytest.param(
            Question("GET", "http://a.example/orders", "svc-1", GOOD),
            {"status": None, "grants": ("client_credentials",)},
            id="a-client-id",
        ),
        pytest.param(
            Question("GET", "http://m.example/", "john"),
            {"status": None, "route": "machines", "undecided": False},
            id="no-rules",
        ),
        pytest.param(
            Question("GET", "http://a.example/orders", "john"),
            {"status": None, "undecided": True},
            id="claims-not-known",
        ),
        pytest.param(
            Question("GET", "http://a.example/orders"),
            {"status": 401, "error": "missing_credentials"},
            id="nobody",
        ),
        pytest.param(
            Question("GET", "http://a.example/orders", "john", GOOD | {"scope": "read"}),
            {"status": 403, "error": "insufficient_scope"},
            id="scope",
        ),
        pytest.param(
            Question("GET", "http://a.example/orders", "john", GOOD | {"locked": True}),
            {"status": 403, "error": "access_denied"},
            id="forbidden-claim",
        ),
        pytest.param(
            Question("POST", "http://a.example/orders", "john", GOOD),
            {"status": 404, "route": None},
            id="no-route",
        ),
        pytest.param(Question("TRACE", "http://a.example/orders"), {"status": 405}, id="method"),
        pytest.param(
            Question("GET", "http://a.example/ord%65rs"), {"status": 400}, id="two-readings"
        ),
        pytest.param(
            Question("GET", "http://a.example/open"),
            {"status": None, "route": "open", "cache_key_id": None},
            id="public",
        ),
        pytest.param(
            Question("GET", "http://a.example/tokens", "john"),
            {"status": 401, "grants": ()},
            id="no-pairs-here",
        ),
        pytest.param(
            Question("GET", "http://a.example/tokens", claims=GOOD),
            {"status": None, "cache_key_id": None},
            id="a-token",
        ),
        pytest.param(
            Question("POST", "http://a.example/form", "john"),
            {"status": None, "grants": ("password",)},
            id="in-the-body",
        ),
    ],
)
async def test_verdicts(loaded, question, told):
    """What becomes of a request is told with the status of the answer, and nothing is asked."""
    found = await explain(loaded, question)

    assert {name: getattr(found, name) for name in told} == told
    assert "CANARY" not in repr(found)


async def test_rules_and_headers(loaded):
    """Each rule has its own verdict, and fields that are set or stripped are told."""
    question = Question(
        "GET",
        "https://a.example/orders",
        "john",
        GOOD,
        (("X-Consumer-Id", "1"), ("Accept", "*/*")),
    )

    found = await explain(loaded, question)
    worse = await explain(loaded, Question("GET", question.url, "john", {"aud": "orders"}))

    assert found.removed == ("Host", "X-Consumer-Id", "Authorization")
    assert "Authorization: Bearer ACCESS-TOKEN" in found.added
    assert "X-Forwarded-Proto: https" in found.added
    assert "X-Forwarded-Host: a.example" in found.added
    assert [each.holds for each in found.rules] == [True, True, True, True]
    assert [each.holds for each in worse.rules] == [True, False, False, True]
    assert worse.challenges == (
        'Bearer realm="bearergate", error="insufficient_scope", scope="read write"',
    )


async def test_the_id_is_a_users(loaded):
    """The id is the same for every password and letter case, and another for another user."""
    url = "http://a.example/orders"
    john, upper, anna = [
        (await explain(loaded, Question("GET", url, name))).cache_key_id
        for name in ("john", "JOHN", "anna")
    ]

    assert john == upper != anna
    assert len(john) == 16


@pytest.mark.parametrize(
    ("path", "user", "environ", "shown"),
    [
        pytest.param("orders", "john", {}, ["not known: set CACHE_SECRET"], id="no-secret"),
        pytest.param(
            "orders",
            "",
            {"CACHE_SECRET": SECRET},
            ["not known: name a user with --user NAME"],
            id="no-user",
        ),
        pytest.param(
            "orders",
            "",
            {},
            ["not known: name a user with --user NAME, and set CACHE_SECRET"],
            id="neither",
        ),
        pytest.param("tokens", "john", {}, [], id="no-pairs-here"),
        pytest.param("open", "john", {}, [], id="public"),
    ],
)
async def test_what_the_id_lacks(tmp_path, capsys, path, user, environ, shown):
    """Only what is missing for the id is asked for, and nothing where no pairs are taken."""
    question = Question("GET", f"http://a.example/{path}", user)

    telling.tell(await explain(read(tmp_path, **environ), question))

    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert [each[2] for each in lines if ["cache", "key"] == each[:2]] == shown


async def test_what_is_shown(loaded, capsys):
    """People and programs are told the same."""
    found = await explain(loaded, Question("GET", "http://a.example/orders", "john", GOOD))

    telling.tell(found)
    lines = capsys.readouterr().out.splitlines()

    assert lines[0] == "goes on to the upstream"
    assert json.loads(telling.write_json(found))["route"] == "orders"
    for line in (*found.added, *found.removed, *(each.rule for each in found.rules)):
        assert [shown for shown in lines if line in shown]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(None, r"cannot be read \(No such file or directory\); name", id="missing"),
        pytest.param("sub: john", r"holds no JSON object \(not JSON\); write", id="not-json"),
        pytest.param("[]", r"\(the top level is not an object\); write", id="a-list"),
        pytest.param(
            '{"a": 1, "a": 2}', r"\(a member name appears twice\); write", id="name-twice"
        ),
    ],
)
def test_unreadable_claims(tmp_path, text, why):
    """Of a file without claims it is told what is wrong with it, and what to do."""
    file = tmp_path / "claims.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ConfigurationError, match=f"^--claims: .*claims.json .*{why}"):
        read_claims(file)


def test_unreadable_arguments(tmp_path, capsys):
    """A field without a colon and a URL without a host are told."""
    with pytest.raises(ConfigurationError, match="NAME: VALUE"):
        read_field("Accept")
    assert cli.main(["explain", "GET", "/x", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


async def test_urls_without_a_host(loaded):
    """A URL has a scheme and a host: routes go by it."""
    with pytest.raises(ConfigurationError, match="HOST"):
        await explain(loaded, Question("GET", "/orders"))


async def test_refresh_tokens(loaded):
    """A caller with a refresh token goes on without it; one with nothing gets the challenge."""
    url = "http://a.example/sessions"
    field = ("X-Refresh-Token", "a-secret")

    good = await explain(loaded, Question("GET", url, claims=GOOD, headers=(field,)))
    nobody = await explain(loaded, Question("GET", url, "john"))

    assert (None, ("refresh_token",), ()) == (good.status, good.methods, good.grants)
    assert "X-Refresh-Token" in good.removed
    assert "Authorization: Bearer ACCESS-TOKEN" in good.added
    assert (401, ('Bearer realm="bearergate"',)) == (nobody.status, nobody.challenges)
