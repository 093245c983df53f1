"""What ``doctor`` says of token exchange, userinfo and ID tokens where a provider is odd."""

from __future__ import annotations

import pytest

from gateway.doctor import Severity
from tests.doctor.test_probes import findings_of
from tests.fakes.answers import HTML, REMOVED, Answer, refusal
from tests.fakes.exchanging_provider import ExchangingProvider

EXCHANGE = {"TOKEN_EXCHANGE": "true", "TOKEN_EXCHANGE_AUDIENCE": "orders"}
USERS = {"AUTH_METHODS": "password", "AUDIENCE_REQUIRED": "api"}


@pytest.fixture
async def provider():
    """Run a provider with every endpoint there is."""
    async with ExchangingProvider() as fake:
        yield fake


def bad(found):
    """Return the findings that somebody has to do something about."""
    return [each for _, each in found if each.severity is not Severity.FINE]


async def test_good(provider):
    """Where all of it works nothing is to be done."""
    provider.id_claims = {}
    settings = {**EXCHANGE, "SEARCH_USER_INFO": "true", "UPSTREAM_ID_TOKEN_HEADER": "X-Id"}

    found = await findings_of(provider, **USERS, **settings)

    assert [] == bad(found)
    texts = [each.what for _, each in found]
    assert "the userinfo endpoint takes the access token and adds email" in texts
    assert 1 == len(provider.exchanges)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        pytest.param(refusal(400, "unsupported_grant_type"), "no token exchange", id="no-grant"),
        pytest.param(refusal(400, "unauthorized_client"), "may not exchange", id="not-allowed"),
        pytest.param(refusal(400, "invalid_target"), "nothing that TOKEN_EXCHANGE_A", id="target"),
        pytest.param(refusal(400, "invalid_request", "odd"), "invalid_request (odd)", id="other"),
        pytest.param(Answer(500, b"CANARY", HTML), "token exchange: ", id="broken"),
    ],
)
async def test_refused_exchange(provider, answer, what):
    """Each refusal is a failure that says what to do."""
    provider.exchange_answers.append(answer)

    [finding] = bad(await findings_of(provider, **USERS, **EXCHANGE))

    assert finding.severity is Severity.FAILURE
    assert what in finding.what
    assert finding.fix


@pytest.mark.parametrize("opaque", [False, True])
async def test_for_whom(provider, opaque):
    """An exchanged token for somebody else is a failure; one that says nothing is believed."""
    provider.opaque_exchanged = opaque
    provider.exchanged_claims = {"aud": "others"}

    found = bad(await findings_of(provider, **USERS, **EXCHANGE))

    assert opaque == (not found)
    assert all("is not for orders" in each.what for each in found)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        pytest.param({"profile": {"sub": "anna"}}, "another sub", id="somebody-else"),
        pytest.param({"metadata": {"userinfo_endpoint": REMOVED}}, "names no", id="no-endpoint"),
        pytest.param({"opaque": True}, "is opaque", id="opaque"),
    ],
)
async def test_user_info(provider, change, what):
    """What is odd about userinfo is told, with what to do."""
    for name, value in change.items():
        setattr(provider, name, value)

    [finding] = bad(await findings_of(provider, **USERS, SEARCH_USER_INFO="true"))

    assert what in finding.what
    assert finding.fix


@pytest.mark.parametrize("status", [401, 500])
async def test_user_info_that_refuses(provider, status):
    """A refusal of the endpoint is a failure."""
    provider.answer("userinfo", Answer(status, b"", HTML))

    [finding] = bad(await findings_of(provider, **USERS, SEARCH_USER_INFO="true"))

    assert finding.severity is Severity.FAILURE


async def test_nobody_to_ask_about(provider):
    """Without a user nothing can be asked about one, and that is said."""
    settings = {"AUTH_METHODS": "bearer", "AUDIENCE_REQUIRED": "api", "SEARCH_USER_INFO": "true"}

    found = bad(await findings_of(provider, **settings))

    assert ["there is no user's token to ask the userinfo endpoint with"] == [
        each.what for each in found if "--user" in each.fix and "userinfo" in each.what
    ]


async def test_wrong_id_token(provider):
    """An ID token that would be 502 is a failure."""
    provider.id_claims = {"aud": "other"}

    [finding] = bad(await findings_of(provider, **USERS, UPSTREAM_ID_TOKEN_HEADER="X-Id"))

    assert finding.what.startswith("the ID token of password does not verify: aud")


@pytest.mark.parametrize(
    ("about", "rules", "words"),
    [
        pytest.param({}, {"CLAIMS_REQUIRED": "client_id=gateway"}, ["is opaque"], id="good"),
        pytest.param({}, {"GROUPS_REQUIRED": "staff"}, ["is opaque", "no claim groups"], id="rule"),
        pytest.param({"active": False}, {}, ["is opaque", "not active"], id="inactive"),
        pytest.param({"iss": "https://x.example"}, {}, ["is opaque", "refused: iss"], id="issuer"),
    ],
)
async def test_opaque_tokens(provider, about, rules, words):
    """An opaque token is asked about, and judged by what the provider tells."""
    provider.opaque, provider.about = True, about

    found = bad(await findings_of(provider, **USERS, **rules))

    assert len(words) == len(found)
    assert all(word in each.what for word, each in zip(words, found, strict=True))


@pytest.mark.parametrize("named", [True, False])
async def test_nobody_to_introspect_at(provider, named):
    """Without an introspection endpoint callers' tokens cannot be asked about, unless it is set."""
    provider.metadata = {"introspection_endpoint": REMOVED}
    settings = {"AUTH_METHODS": "introspection", "AUDIENCE_REQUIRED": "api"}
    if named:
        settings["INTROSPECTION_ENDPOINT"] = f"{provider.issuer}/introspect"

    found = await findings_of(provider, **settings)

    assert named == ("the client may ask about tokens" in [each.what for _, each in found])
    fixes = [each.fix for each in bad(found) if "INTROSPECTION_ENDPOINT" in each.fix]
    assert len(fixes) == (not named)
