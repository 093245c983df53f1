"""The decision about claims, without a gateway around it."""

from __future__ import annotations

import pytest

from gateway.authorization import ClaimRule, Deny, Permit, Policy, Requirement, decide, denied
from gateway.errors import AuthorizationError, InsufficientScopeError

KEYCLOAK = {
    "scope": "openid orders.read",
    "realm_access": {"roles": ["api-user", "offline_access"]},
    "resource_access": {
        "kong": {"roles": ["reader"]},
        "https://shop.example/api": {"roles": ["buyer"]},
        "my.client": {"roles": ["writer"]},
    },
    "groups": ["/staff", "/staff/admins"],
}


def requirement(path, *alternatives, name="roles_required"):
    """Return a policy of one requirement; each alternative is a text of words."""
    return Policy((Requirement(name, path, tuple(frozenset(one.split()) for one in alternatives)),))


@pytest.mark.parametrize(
    ("policy", "permitted"),
    [
        pytest.param(Policy(), True, id="no-rules"),
        pytest.param(requirement("realm_access.roles", "api-user"), True, id="realm-role"),
        pytest.param(requirement("realm_access.roles", "admin"), False, id="other-realm-role"),
        pytest.param(requirement("realm_access.roles", "admin", "api-user"), True, id="or"),
        pytest.param(requirement("realm_access.roles", "api-user offline_access"), True, id="and"),
        pytest.param(requirement("realm_access.roles", "api-user admin"), False, id="and-one-less"),
        pytest.param(requirement("resource_access.kong.roles", "reader"), True, id="client-role"),
        pytest.param(requirement("resource_access.kong.roles", "writer"), False, id="not-of-kong"),
        pytest.param(
            requirement("resource_access.my.client.roles", "writer"), True, id="client-with-dot"
        ),
        pytest.param(
            requirement("resource_access.https://shop.example/api.roles", "buyer"),
            True,
            id="client-that-is-a-url",
        ),
        pytest.param(requirement("resource_access.my.roles", "writer"), False, id="half-a-client"),
        pytest.param(requirement("scope", "orders.read"), True, id="word-of-a-string"),
        pytest.param(requirement("scope", "orders"), False, id="part-of-a-word"),
        pytest.param(requirement("groups", "/staff"), True, id="member-of-a-list"),
        pytest.param(requirement("missing.path", "x"), False, id="no-claim"),
    ],
)
def test_requirements(policy, permitted):
    """A requirement holds if the claim has all values of one alternative."""
    assert permitted == isinstance(decide(policy, KEYCLOAK), Permit)


@pytest.mark.parametrize(
    ("rule", "value", "fits"),
    [
        pytest.param("sales", "sales", True, id="equal"),
        pytest.param("sales", "Sales", False, id="letter-case-counts"),
        pytest.param("sales", "sales hr", False, id="a-string-is-one-value"),
        pytest.param("two words", "two words", True, id="with-a-space"),
        pytest.param("sales|hr", "hr", True, id="one-of"),
        pytest.param("sales", ["it", "sales"], True, id="member-of-a-list"),
        pytest.param("sales", ["it", ["sales"]], False, id="member-of-a-member"),
        pytest.param("sales", {"sales": "sales"}, False, id="object"),
        pytest.param("true", True, True, id="boolean"),
        pytest.param("1", True, False, id="boolean-is-no-number"),
        pytest.param("3", 3, True, id="number"),
        pytest.param("3", 3.0, True, id="whole-float"),
        pytest.param("0.5", 0.5, True, id="float"),
        pytest.param("null", None, False, id="null-is-absent"),
        pytest.param("~[1-3]", "2", True, id="pattern"),
        pytest.param("~[1-3]", 2, True, id="pattern-on-a-number"),
        pytest.param("~[1-3]", "12", False, id="pattern-is-anchored-before"),
        pytest.param("~[1-3]", "2\n", False, id="pattern-is-anchored-behind"),
        pytest.param("~*@example.org", "j@example.org", True, id="any-characters"),
        pytest.param("~*@example.org", "j@example.org.evil.example", False, id="no-suffix"),
        pytest.param("~*@example.org", "j@exampleXorg", False, id="a-dot-is-a-dot"),
        pytest.param("~(a+)+$", "aaaa", False, id="no-regular-expression"),
        pytest.param("", "anything", True, id="presence"),
        pytest.param("", [], True, id="presence-of-an-empty-list"),
        pytest.param("", False, True, id="presence-of-false"),
        pytest.param("", None, False, id="presence-of-null"),
    ],
)
def test_claim_rules(rule, value, fits):
    """A required claim must fit, and a forbidden one must not: one reading for both."""
    read = ClaimRule.read("a.b", rule.split("|") if rule else ())
    claims = {"a": {"b": value}}

    assert fits == isinstance(decide(Policy(claims_required=(read,)), claims), Permit)
    assert fits == isinstance(decide(Policy(claims_forbidden=(read,)), claims), Deny)


def test_all_rules_must_hold():
    """One rule that does not hold is enough for a denial."""
    good = ClaimRule.read("a", ["1"])
    bad = ClaimRule.read("a", ["2"])

    assert isinstance(decide(Policy(claims_required=(good, bad)), {"a": "1"}), Deny)
    assert isinstance(decide(Policy(claims_forbidden=(bad, good)), {"a": "1"}), Deny)


@pytest.mark.parametrize("pattern", ["~*a*a*a*a*a*b", "~" + "*" * 50 + "b", "~*[a-z]*[a-z]*[0-9]"])
def test_patterns_do_not_backtrack(pattern):
    """A pattern that would take a backtracking matcher for ever is decided: the test ends."""
    rule = ClaimRule.read("a", [pattern])

    assert not rule.fits({"a": "a" * 100_000})


@pytest.mark.parametrize(
    ("alternatives", "scope", "named"),
    [
        pytest.param(("a",), None, "a", id="one"),
        pytest.param(("b a",), "b", "a b", id="all-of-the-alternative"),
        pytest.param(("a b", "c"), None, "c", id="the-shorter-way"),
        pytest.param(("a b", "c d e"), "c d", "c d e", id="the-nearest"),
    ],
)
def test_scope_of_the_challenge(alternatives, scope, named):
    """RFC 6750 §3.1: the challenge names the scopes of the alternative nearest to the token."""
    policy = requirement("scope", *alternatives, name="scopes_required")
    decision = decide(policy, {"scope": scope})
    assert isinstance(decision, Deny)

    error = denied(decision, "realm")

    assert isinstance(error, InsufficientScopeError)
    challenge = f'Bearer realm="realm", error="insufficient_scope", scope="{named}"'
    assert (challenge,) == error.challenges


def test_other_denials_name_nothing():
    """A denial for another reason carries no challenge, and its reason is not in its text."""
    decision = decide(requirement("groups", "admins", name="groups_required"), KEYCLOAK)
    assert isinstance(decision, Deny)

    error = denied(decision, "realm")

    assert type(error) is AuthorizationError
    assert () == error.challenges
    assert "groups" in error.cause
    assert "groups" not in str(error)
