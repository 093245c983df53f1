"""Whether what a refresh token was redeemed for is cached makes no difference to a decision."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.authorization import Policy
from tests.authentication.composed import compose_for
from tests.fakes.provider import FakeProvider
from tests.journeys.test_policy_cached import (
    CLAIMS,
    POLICIES,
    claims_of,
    decision,
    explanation,
    head_with,
)

METHOD = {"AUTH_METHODS": "refresh_token", "REFRESH_TOKEN_PARAM_NAME": "X-Refresh-Token"}


def test_decisions_about_refresh_tokens_do_not_depend_on_the_cache():
    """J23: over claims and rules, each redemption of a chain is decided like its cached token."""
    users = map(str, itertools.count())
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        fake = runner.run(stack.enter_async_context(FakeProvider(alg="ES256")))
        fake.refresh_tokens = True
        cached = runner.run(compose_for(stack, fake, **METHOD))
        uncached = runner.run(compose_for(stack, fake, **METHOD, CACHE_TTL_MAX="0"))

        @settings(max_examples=75, deadline=None)
        @given(CLAIMS, st.lists(POLICIES, min_size=1, max_size=4))
        def judge(claims, policies):
            user = next(users)
            fake.claims = claims
            fake.sessions |= {f"kept-{user}": user, f"new-{user}": user}
            kept, new = (
                head_with((b"X-Refresh-Token", f"{name}-{user}".encode()))
                for name in ("kept", "new")
            )
            runner.run(decision(cached, Policy(), kept))
            warm_from = len(fake.token_calls)
            warm = [runner.run(decision(cached, policy, kept)) for policy in policies]
            assert warm_from == len(fake.token_calls)
            cold = [runner.run(decision(uncached, policy, new)) for policy in policies]
            assert warm_from + len(policies) == len(fake.token_calls)
            known = runner.run(claims_of(cached, kept))
            told = [
                runner.run(explanation(cached, policy, kept, known, "refresh_token"))
                for policy in policies
            ]
            assert cold == warm == told

        judge()
        runner.run(stack.aclose())
