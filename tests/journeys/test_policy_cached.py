"""Whether a caller is cached makes no difference to what the caller may do."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.authorization import ClaimRule, Policy, Requirement
from gateway.errors import AuthorizationError
from gateway.explain.verdict import Caller, admit, judge
from gateway.oauth import base64url
from gateway.oauth.strict_json import read_object
from gateway.pipeline import Pipeline
from gateway.request import read_head
from gateway.routing import Route, read_upstream
from tests.authentication.composed import compose_for
from tests.fakes.asked_provider import AskedProvider
from tests.fakes.caller import basic
from tests.fakes.provider import FakeProvider

WORDS = st.sampled_from(["a", "b", "c", "a b"])
SCALARS = st.one_of(WORDS, st.booleans(), st.integers(0, 3), st.none(), st.just(1.0))
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3))
NAMES = ("scope", "groups", "dept")
CLAIMS = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(NAMES, VALUES), "deep": st.fixed_dictionaries({"r": VALUES})}
)
PATHS = st.sampled_from([*NAMES, "deep.r"])
RULES = st.builds(
    ClaimRule.read, PATHS, st.lists(st.sampled_from(["a", "1", "true", "~[a-c]"]), max_size=2)
)
POLICIES = st.builds(
    Policy,
    st.lists(
        st.builds(
            Requirement,
            st.just("scopes_required"),
            PATHS,
            st.lists(st.frozensets(st.sampled_from("abc"), min_size=1), min_size=1).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    st.lists(RULES, max_size=2).map(tuple),
    st.lists(RULES, max_size=1).map(tuple),
)
UPSTREAM = read_upstream("http://127.0.0.1:1")


def head_with(field):
    """Return the head of a request that carries this field."""
    headers = ((b"Host", b"gateway.test"), field)
    return read_head(
        method="GET", target=b"/", version=(1, 1), headers=headers, peer="", max_header_bytes=9999
    )


async def decision(authenticators, policy, head):
    """Tell what the pipeline says: the class of a denial and its challenges, or who may go on."""
    pipeline = Pipeline([Route("r", UPSTREAM, authenticators, policy)])
    try:
        admission = await pipeline.admit(head, None)
    except AuthorizationError as error:
        return type(error), error.challenges
    return admission.authentication.principal.claims.sub


def said_in(token):
    """Return the claims that a token says, as one would copy them into a file."""
    return read_object(base64url.decode(token.split(".")[1]))


async def claims_of(authenticators, head):
    """Return the claims of the token that a caller has."""
    admission = await Pipeline([Route("r", UPSTREAM, authenticators, Policy())]).admit(head, None)
    return said_in(admission.authentication.principal.access_token)


async def explanation(authenticators, policy, head, claims, grant="password"):
    """Tell in the same way what ``explain`` says, after a look at the rules one by one."""
    caller = Caller("", claims, "", grant)
    outcome = await admit([Route("r", UPSTREAM, authenticators, policy)], head, caller)
    refused = isinstance(outcome, AuthorizationError)
    assert refused == (not all(each.holds for each in judge(policy, claims)))
    if refused:
        return type(outcome), outcome.challenges
    return outcome.authentication.principal.claims.sub


def test_decisions_do_not_depend_on_the_cache():
    """J23: over claims and rules, cold, warm and uncached callers get the decision explained."""
    users = map(str, itertools.count())
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        fake = runner.run(stack.enter_async_context(FakeProvider(alg="ES256")))
        cached = runner.run(compose_for(stack, fake))
        uncached = runner.run(compose_for(stack, fake, CACHE_TTL_MAX="0"))

        @settings(max_examples=150, deadline=None)
        @given(CLAIMS, st.lists(POLICIES, min_size=1, max_size=4))
        def judge(claims, policies):
            user = next(users)
            fake.users[user], fake.claims = "pw", claims
            head = head_with(basic(user, "pw"))
            runner.run(decision(cached, Policy(), head))
            warm_from = len(fake.token_calls)
            warm = [runner.run(decision(cached, policy, head)) for policy in policies]
            assert warm_from == len(fake.token_calls)
            cold = [runner.run(decision(uncached, policy, head)) for policy in policies]
            assert warm_from + len(policies) == len(fake.token_calls)
            known = runner.run(claims_of(cached, head))
            told = [runner.run(explanation(cached, policy, head, known)) for policy in policies]
            assert cold == warm == told

        judge()
        runner.run(stack.aclose())


@pytest.mark.parametrize("methods", ["bearer", "introspection", "bearer,introspection"])
@pytest.mark.parametrize("asks", [True, False], ids=["userinfo", "token-alone"])
def test_decisions_about_tokens_do_not_depend_on_the_cache(methods, asks):
    """J23: the same holds for callers' tokens, verified here or asked about, and for userinfo.

    What is explained goes by what is known: the answer about the token or the token, and beside
    it what userinfo adds.
    """
    asking = {"AUTH_METHODS": methods, "INSECURE_ACCEPT_ANY_AUDIENCE": "true"}
    asking |= {"SEARCH_USER_INFO": str(asks).lower()}
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        fake = runner.run(stack.enter_async_context(AskedProvider(alg="ES256")))
        cached = runner.run(compose_for(stack, fake, **asking))
        uncached = runner.run(compose_for(stack, fake, **asking, CACHE_TTL_MAX="0"))

        @settings(max_examples=25, deadline=None)
        @given(CLAIMS, CLAIMS, st.booleans(), st.lists(POLICIES, min_size=1, max_size=3))
        def judge(claims, profile, opaque, policies):
            fake.opaque = opaque and methods != "bearer"
            fake.profile = profile
            token = fake.mint("mary", "x", **{**claims, "sub": "mary"})
            head = head_with((b"Authorization", b"Bearer " + token.encode()))
            runner.run(decision(cached, Policy(), head))
            asked = calls_of(fake)
            warm = [runner.run(decision(cached, policy, head)) for policy in policies]
            assert asked == calls_of(fake)
            cold = [runner.run(decision(uncached, policy, head)) for policy in policies]
            each = (opaque or methods == "introspection") and methods != "bearer"
            assert [n + len(policies) * on for n, on in zip(asked, (each, asks), strict=True)] == (
                calls_of(fake)
            )
            here = not fake.opaque and methods != "introspection"
            known = said_in(token) if here else {"active": True, **fake.issued[token]}
            known = ({"email": "mary@example.org", **profile} if asks else {}) | known
            told = [
                runner.run(explanation(cached, policy, head, known, "bearer"))
                for policy in policies
            ]
            assert cold == warm == told

        judge()
        runner.run(stack.aclose())


def calls_of(fake):
    """Return how often the provider was asked about tokens, and about users."""
    return [len(fake.asked), len(fake.user_info_calls)]
