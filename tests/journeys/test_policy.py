"""Rules on claims: asked on every request, cached or not."""

from __future__ import annotations

import pytest

from tests.fakes.caller import basic, request

JOHN = basic("john", "doe")


@pytest.mark.parametrize(
    ("settings", "claims", "expected"),
    [
        pytest.param({"AUDIENCE_REQUIRED": "api"}, {"aud": "api"}, 200, id="audience"),
        pytest.param({"AUDIENCE_REQUIRED": "x,api"}, {"aud": ["b", "api"]}, 200, id="or"),
        pytest.param({"AUDIENCE_REQUIRED": "a api"}, {"aud": ["api", "b"]}, 403, id="J15-and"),
        pytest.param({"AUDIENCE_REQUIRED": "api"}, {"aud": "other"}, 403, id="J15-other"),
        pytest.param({"SCOPES_REQUIRED": "a b"}, {"scope": "b c a"}, 200, id="scopes"),
        pytest.param({"SCOPES_REQUIRED": "a"}, {"scope": "ab"}, 403, id="no-prefix-match"),
        pytest.param(
            {"ROLES_REQUIRED": "admin"}, {"realm_access": {"roles": ["admin"]}}, 200, id="roles"
        ),
        pytest.param({"ROLES_REQUIRED": "admin"}, {}, 403, id="no-roles"),
        pytest.param(
            {"GROUPS_REQUIRED": "staff", "GROUPS_CLAIM": "https://x.example/groups"},
            {"https://x.example/groups": ["staff"]},
            200,
            id="claim-name-with-dots",
        ),
        pytest.param(
            {"ROLES_REQUIRED": "reader", "ROLES_CLAIM": "resource_access.my.client.roles"},
            {"resource_access": {"my.client": {"roles": ["reader"]}}},
            200,
            id="client-role",
        ),
        pytest.param(
            {"ROLES_REQUIRED": "reader", "ROLES_CLAIM": "resource_access.my.client.roles"},
            {"resource_access": {"other": {"roles": ["reader"]}}},
            403,
            id="another-clients-role",
        ),
        pytest.param(
            {"AUDIENCE_REQUIRED": "api", "AUDIENCE_CLAIM": "for.api"},
            {"for": {"api": "api"}},
            200,
            id="audience-elsewhere",
        ),
        pytest.param(
            {"AUDIENCE_REQUIRED": "api", "AUDIENCE_CLAIM": "for.api"},
            {"aud": "api"},
            403,
            id="J15-audience-in-aud-alone",
        ),
        pytest.param(
            {"SCOPES_REQUIRED": "a", "SCOPES_CLAIM": "scp"}, {"scp": ["a"]}, 200, id="scp"
        ),
        pytest.param(
            {"SCOPES_REQUIRED": "a", "SCOPES_CLAIM": "scp"}, {"scope": "a"}, 403, id="scope-alone"
        ),
        pytest.param({"CLAIMS_REQUIRED": "dept=it|hr"}, {"dept": "hr"}, 200, id="claim-one-of"),
        pytest.param({"CLAIMS_REQUIRED": "dept=it|hr"}, {"dept": "sales"}, 403, id="claim-other"),
        pytest.param({"CLAIMS_REQUIRED": "level=~[1-3]"}, {"level": 3}, 200, id="claim-pattern"),
        pytest.param({"CLAIMS_REQUIRED": "level=~[1-3]"}, {"level": 30}, 403, id="claim-anchored"),
        pytest.param({"CLAIMS_REQUIRED": "dept"}, {}, 403, id="claim-missing"),
        pytest.param({"CLAIMS_REQUIRED": "a=1,b=2"}, {"a": "1"}, 403, id="claims-all-of-them"),
        pytest.param({"CLAIMS_FORBIDDEN": "act"}, {"act": {"sub": "x"}}, 403, id="claim-forbidden"),
        pytest.param({"CLAIMS_FORBIDDEN": "act"}, {}, 200, id="claim-not-there"),
        pytest.param({"CLAIMS_FORBIDDEN": "acr=0"}, {"acr": "0"}, 403, id="value-forbidden"),
        pytest.param({"CLAIMS_FORBIDDEN": "acr=0"}, {"acr": "1"}, 200, id="another-value"),
        pytest.param(
            {"GROUPS_REQUIRED": "staff", "SCOPES_REQUIRED": "a"},
            {"groups": ["staff"], "scope": "b"},
            403,
            id="all-that-are-set",
        ),
    ],
)
async def test_required_claims(start_gateway, call, provider, upstream, settings, claims, expected):
    """J23: a rule that does not hold is 403 on the first request and on the cached one."""
    provider.claims = claims
    caller = await call(await start_gateway(**settings))

    statuses = [(await caller.send(request("GET", "/", [JOHN]))).status for _ in range(2)]

    assert [expected, expected] == statuses
    assert len(provider.token_calls) == 1
    assert (2 if expected == 200 else 0) == len(upstream.requests)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        pytest.param({"SCOPES_REQUIRED": "orders.read"}, "insufficient_scope", id="scope"),
        pytest.param({"GROUPS_REQUIRED": "staff"}, "access_denied", id="group"),
        pytest.param({"CLAIMS_REQUIRED": "dept"}, "access_denied", id="claim"),
    ],
)
async def test_denial(start_gateway, call, settings, error):
    """A denial says which kind it is, names a missing scope, and nothing about the token."""
    caller = await call(await start_gateway(**settings))

    response = await caller.send(request("GET", "/", [JOHN]))

    assert (403, error) == (response.status, response.json()["error"])
    missing = b'Bearer realm="bearergate", error="insufficient_scope", scope="orders.read"'
    assert ([missing] if "SCOPES_REQUIRED" in settings else []) == response.values(
        "www-authenticate"
    )


async def test_denial_in_the_log(start_gateway, call, provider, written):
    """A denial's line names the rule and the caller's pseudonym, not what the claim holds."""
    provider.claims = {"dept": "CANARY"}
    caller = await call(await start_gateway(CLAIMS_REQUIRED="dept=hr"))
    await caller.send(request("GET", "/", [JOHN]))

    line = written()[-1]

    assert (403, "access_denied") == (line["status"], line["error"])
    assert line["cause"] == "claims_required is not satisfied by the claim dept"
    assert line["user"]
    assert "CANARY" not in str(line)
