"""What the token endpoint is asked for a caller, and what its answers mean."""

from __future__ import annotations

import pytest

from gateway.errors import InvalidCredentialsError, ProviderError
from gateway.oauth.tokens import TokenErrorResponse
from tests.fakes.answers import ANSWERS, refusal

EXTRA = (("resource", "orders"), ("otp", "none"))


@pytest.mark.parametrize(
    ("mode", "user", "password", "grants"),
    [
        pytest.param("password", "john", "doe", ["password"], id="user"),
        pytest.param("client_credentials", "service", "service-secret", ["client_credentials"],
                     id="client"),
        pytest.param("auto", "john", "doe", ["password"], id="auto-user"),
        pytest.param("auto", "service", "service-secret", ["password", "client_credentials"],
                     id="auto-client"),
    ],
)  # fmt: skip
async def test_grants_are_tried_in_turn(replica, provider, mode, user, password, grants):
    """R6: each grant of the mode is tried once, the next only after a refusal, and one works."""
    one, refused = await replica(), []

    grant, tokens = await one.requests.exchange(
        one.exchange(user, password, mode), lambda: refused.append(None)
    )

    assert grants == [call.grant_type for call in provider.token_calls]
    assert (grants[-1], len(grants) - 1) == (grant, len(refused))
    assert tokens.access_token


@pytest.mark.parametrize(
    ("mode", "calls"), [("password", 1), ("client_credentials", 1), ("auto", 2)]
)
async def test_refused_by_every_grant(replica, provider, mode, calls):
    """R6, T7: credentials no grant takes are the caller's fault, told for each refusal."""
    one, refused = await replica(), []

    with pytest.raises(InvalidCredentialsError):
        await one.requests.exchange(
            one.exchange("john", "wrong", mode), lambda: refused.append(None)
        )

    assert calls == len(refused) == len(provider.token_calls)


@pytest.mark.parametrize(
    "answer", ["keycloak_grant_not_allowed", "invalid_scope", "invalid_client_400"]
)
async def test_refused_for_another_reason(replica, provider, answer):
    """T7: what the provider holds against the gateway is no refusal of the caller."""
    one, refused = await replica(), []
    provider.answer_next_token(ANSWERS[answer])

    with pytest.raises(ProviderError):
        await one.requests.exchange(one.exchange(mode="auto"), lambda: refused.append(None))

    assert (refused, len(provider.token_calls)) == ([], 1)


@pytest.mark.parametrize("mode", ["password", "client_credentials"])
@pytest.mark.parametrize(
    ("copied", "changed", "scope"),
    [
        pytest.param((), {}, "ours", id="nothing"),
        pytest.param((("x", "é &"),), {"x": "é &"}, "ours", id="one-more"),
        pytest.param((("otp", "1"),), {"otp": "1"}, "ours", id="instead-of-ours"),
        pytest.param((("scope", "a b"),), {}, "a b", id="scope"),
        pytest.param((("scope", ""),), {}, None, id="no-scope"),
    ],
)
async def test_copied_fields(replica, provider, mode, copied, changed, scope):
    """What a caller may say is sent once, in place of what the gateway says of the same name."""
    one = await replica(extra=EXTRA)
    user, password = {"password": ("john", "doe")}.get(mode, ("service", "service-secret"))
    ours = {"password": "openid"}.get(mode)

    await one.requests.exchange(one.exchange(user, password, mode, copied=copied), lambda: None)

    form = provider.token_calls[0].form
    assert {**dict(EXTRA), **changed} == {
        name: form[name] for name in ("resource", "otp", *changed)
    }
    assert (ours if scope == "ours" else scope) == form.get("scope")


async def test_renewal(replica, provider):
    """A12: a refresh token is sent with the gateway's own fields, without scope or caller."""
    provider.refresh_tokens = True
    one = await replica(extra=EXTRA)
    _, tokens = await one.requests.exchange(one.exchange(), lambda: None)

    renewed = await one.requests.renew(tokens.refresh_token)

    call = provider.token_calls[1]
    assert {"grant_type", "refresh_token", "resource", "otp"} == set(call.form)
    assert call.client_id == provider.client_id
    assert renewed.access_token not in ("", tokens.access_token)


async def test_ended_session(replica):
    """T7: `invalid_grant` for a refresh token is a fact about the session, not a failure."""
    one = await replica()

    answer = await one.requests.renew("unknown")

    assert isinstance(answer, TokenErrorResponse)
    assert answer.error == "invalid_grant"


async def test_renewal_refused_for_another_reason(replica, provider):
    """T7: any other refusal of a renewal says nothing about the session."""
    provider.answer_next_token(refusal(400, "unauthorized_client"))
    one = await replica()

    with pytest.raises(ProviderError, match="unauthorized_client"):
        await one.requests.renew("r")


@pytest.mark.parametrize(
    ("grant", "client"), [("password", "gateway"), ("client_credentials", "service")]
)
async def test_whose_token_it_is(replica, grant, client):
    """J16: a token of a password grant is the gateway's own, a client's is the client's."""
    assert client == (await replica()).requests.client_id(grant, "service")


async def test_key_is_of_everything_that_was_copied(replica):
    """A2: each name and value copied from a caller makes another cache key."""
    one = await replica()
    copied = [(), (("a", ""),), (("a", "b"),), (("ab", ""),), (("a", "b"), ("c", "")), (("c", ""),)]

    keys = {one.exchange(copied=each).key for each in copied}

    assert len(copied) == len(keys)


async def test_exchange_shows_no_secret(replica):
    """L1: the repr of an exchange shows neither password nor copied fields nor its key."""
    exchange = (await replica()).exchange(password="CANARY", copied=(("otp", "CANARY"),))

    assert "CANARY" not in repr(exchange)
    assert repr(exchange.key) not in repr(exchange)


@pytest.mark.parametrize(
    ("tells", "peer", "told"),
    [
        pytest.param(True, "192.0.2.1", ["192.0.2.1"], id="told"),
        pytest.param(True, "2001:DB8::1", ["2001:db8::1"], id="ipv6"),
        pytest.param(False, "192.0.2.1", [], id="by default not"),
        pytest.param(True, "unknown", [], id="nothing to tell"),
    ],
)
async def test_address_of_the_caller(replica, provider, tells, peer, told):
    """R5: the provider is told for whom a login is only when that is configured."""
    one = await replica(tells_address=tells)

    await one.requests.exchange(
        one.exchange("service", "service-secret", "auto", peer=peer), lambda: None
    )

    assert [told] * 2 == [call.field_values("X-Forwarded-For") for call in provider.token_calls]
