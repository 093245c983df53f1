"""What is said about a principal, and that it is written once."""

from __future__ import annotations

import pytest

from gateway.authentication import Principal
from gateway.errors import AuthorizationError
from gateway.identity import Identity, TokenField, Told, told_of_anonymous
from gateway.identity.consumers import Consumer, Matching
from gateway.identity.values import UntellableError
from gateway.oauth.claims import Claims

ALICE = Consumer("alice", "c-1", "id-1", ("gold", "eu,west"))
BOB = Consumer("bob", "alice")


def principal(grant="password", **claims):
    """Return somebody of whom this is known."""
    raw = {"sub": "s-1", **claims}
    known = Claims("https://sso.example", "s-1", (), 1e12, None, None, None, raw)
    return Principal(known, "ey.token", 1e12, "key", grant, "pseudonym")


def matching(*claims, by=("username", "custom_id"), optional=False):
    """Return what matches two consumers."""
    return Matching.of((ALICE, BOB), claims, by, optional=optional)


BEARER = TokenField("Authorization", bearer=True)
TOKEN_LINE = b"Authorization: Bearer ey.token\r\n"


@pytest.mark.parametrize(
    ("identity", "claims", "lines"),
    [
        pytest.param(Identity(), {}, b"", id="nothing"),
        pytest.param(Identity(token=BEARER), {}, TOKEN_LINE, id="token"),
        pytest.param(
            Identity(token=TokenField("X-Token", bearer=False)),
            {}, b"X-Token: ey.token\r\n", id="token-raw",
        ),
        pytest.param(
            Identity(upstream=(("X-User", "name"), ("X-City", "address.city"))),
            {"name": "j", "address": {"city": "Köln"}},
            b"X-User: j\r\nX-City: K%C3%B6ln\r\n", id="claims",
        ),
        pytest.param(Identity(upstream=(("X-User", "name"),)), {}, b"", id="P4-no-such-claim"),
        pytest.param(
            Identity(upstream=(("X-User", "name"),)), {"name": None}, b"", id="P4-null-claim"
        ),
        pytest.param(
            Identity(groups="groups"), {"groups": ["a", "b"]},
            b"X-Authenticated-Groups: a, b\r\n", id="groups",
        ),
        pytest.param(
            Identity(scopes="scope"), {"scope": "openid  email"},
            b"X-Credential-Identifier: s-1\r\nX-Authenticated-Scope: openid email\r\n"
            b"X-Authenticated-UserId: s-1\r\n", id="authenticated",
        ),
        pytest.param(
            Identity(scopes="scp", credential="azp"), {"scp": ["a", 1, "b"], "azp": "app"},
            b"X-Credential-Identifier: app\r\nX-Authenticated-Scope: a b\r\n"
            b"X-Authenticated-UserId: s-1\r\n", id="scopes-in-a-list",
        ),
        pytest.param(
            Identity(scopes="scope"), {"scope": 7},
            b"X-Credential-Identifier: s-1\r\nX-Authenticated-UserId: s-1\r\n", id="no-scopes",
        ),
        pytest.param(
            Identity(consumers=matching("name")), {"name": "alice"},
            b"X-Consumer-ID: id-1\r\nX-Consumer-Username: alice\r\nX-Consumer-Custom-ID: c-1\r\n"
            b"X-Consumer-Groups: gold, eu%2Cwest\r\n", id="consumer",
        ),
        pytest.param(
            Identity(consumers=matching("name", optional=True)), {"name": "carol"}, b"",
            id="no-consumer-optional",
        ),
    ],
)  # fmt: skip
def test_lines(identity, claims, lines):
    """Each setting says its lines, and a claim that is not there none."""
    assert Told(lines, b"") == identity.tell(principal(**claims))


def test_clients_are_no_users():
    """X-Authenticated-UserId is said of users only."""
    told = Identity(scopes="scope").tell(principal("client_credentials"))

    assert b"X-Credential-Identifier: s-1\r\n" == told.upstream


def test_downstream():
    """What the caller is told is apart from what the upstream is."""
    told = Identity(downstream=(("X-Me", "name"),)).tell(principal(name="j"))

    assert Told(b"", b"X-Me: j\r\n") == told


@pytest.mark.parametrize(
    ("claims", "by", "said", "found"),
    [
        pytest.param(("a",), ("username",), {"a": "alice"}, ALICE, id="username"),
        pytest.param(("a",), ("custom_id",), {"a": "alice"}, BOB, id="custom_id"),
        pytest.param(("a",), ("id",), {"a": "id-1"}, ALICE, id="id"),
        pytest.param(("a",), ("custom_id", "username"), {"a": "alice"}, BOB, id="in-that-order"),
        pytest.param(("a", "b"), ("username",), {"b": "bob"}, BOB, id="second-claim"),
        pytest.param(("a", "b"), ("username",), {"a": "x", "b": "bob"}, BOB, id="second-matches"),
        pytest.param(("a", "b"), ("username",), {"a": "bob", "b": "alice"}, BOB, id="first-wins"),
        pytest.param(("a.b",), ("username",), {"a": {"b": "bob"}}, BOB, id="nested"),
        pytest.param(("a",), ("username",), {"a": "Alice"}, None, id="another-case"),
        pytest.param(("a",), ("username",), {"a": ["alice"]}, None, id="list"),
        pytest.param(("a",), ("username",), {"a": ""}, None, id="empty"),
        pytest.param(("a",), ("id",), {"a": ""}, None, id="empty-like-an-empty-id"),
        pytest.param(("a",), ("username",), {}, None, id="absent"),
    ],
)
def test_matching(claims, by, said, found):
    """A consumer is found by equality alone, by claims and fields in their order."""
    assert found == matching(*claims, by=by, optional=True).find(said)


def test_no_consumer():
    """Who is no consumer is refused unless that is optional."""
    with pytest.raises(AuthorizationError) as caught:
        Identity(consumers=matching("name")).tell(principal(name="carol"))

    assert caught.value.cause == "no consumer matches"


def test_written_once():
    """A principal keeps what is said, for each set of settings apart."""
    one, other = Identity(upstream=(("X-A", "sub"),)), Identity(upstream=(("X-B", "sub"),))
    somebody = principal()

    assert one.tell(somebody) is one.tell(somebody)
    assert b"X-B: s-1\r\n" == other.tell(somebody).upstream


def test_kept_within_bounds():
    """A principal keeps what a few settings say, and nothing large."""
    somebody = principal(long="x" * 8192)
    for _ in range(9):
        assert b"X-A: s-1\r\n" == Identity(upstream=(("X-A", "sub"),)).tell(somebody).upstream
    kept = len(somebody.told)
    Identity(upstream=(("X-A", "long"),)).tell(somebody)

    assert kept == len(somebody.told) <= 4


def test_refused_each_time():
    """A principal that cannot be told is refused by every request."""
    identity, somebody = Identity(upstream=(("X-A", "name"),)), principal(name="a\nb")
    for _ in range(2):
        with pytest.raises(UntellableError):
            identity.tell(somebody)


def test_anonymous():
    """Of callers without credentials the upstream is told that, and which consumer they are."""
    assert b"X-Consumer-Username: bob\r\nX-Consumer-Custom-ID: alice\r\n" in (
        told_of_anonymous(BOB).upstream
    )
    assert told_of_anonymous(BOB).upstream.endswith(b"X-Anonymous-Consumer: true\r\n")


def test_nothing_in_a_representation():
    """L1: what is said does not appear where objects are printed."""
    somebody = principal(name="CANARY")
    told = Identity(upstream=(("X-A", "name"),), token=BEARER).tell(somebody)

    assert "CANARY" not in repr(told) + repr(somebody)
    assert "ey.token" not in repr(told) + repr(somebody)
