from __future__ import annotations

import hashlib
import hmac
import itertools
import math
import os

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gateway.token_cache.sealing import Deriver, Opened, SealingKeys

NEW, OLD = b"n" * 32, b"o" * 32
PREFIX = {
    "issuer": "https://sso.example",
    "token_endpoint": "https://sso.example/token",
    "client_id": "gateway",
    "scope": "openid profile",
    "audience": "orders",
    "extra": (("resource", "orders"),),
}
KEYS = SealingKeys([NEW])
NOW = 1_700_000_000.0
text = st.text(st.characters() | st.sampled_from("\x00\x01\ud800\udc00:,"), max_size=12)
grants = st.sampled_from(["password", "client_credentials", "auto", ""])


def deriver(secret: bytes = NEW, deployment: str = "bearergate", **changes: object) -> Deriver:
    """Return a deriver for ``PREFIX`` with these changes."""
    return SealingKeys([secret], deployment).deriver(**{**PREFIX, **changes})


GOOD = deriver().key("password", "alice", "secret")


@settings(max_examples=500, deadline=None)
@given(st.tuples(grants, text, text), st.tuples(grants, text, text))
@example(("password", "ab", "c"), ("password", "a", "bc"))
@example(("password", "", "abc"), ("password", "abc", ""))
@example(("password", "a\x00", "b"), ("password", "a", "\x00b"))
@example(("passworda", "", "b"), ("password", "a", "b"))
@example(("password", "\ud800\udc00", ""), ("password", "\U00010000", ""))
def test_different_credentials(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """A1: two different tuples of grant, identifier and secret never share a key."""
    assume(one != other)
    maker = deriver()
    assert maker.key(*one) != maker.key(*other)


@pytest.mark.parametrize(
    "joined",
    [
        pytest.param("alicesecret", id="plain"),
        pytest.param("\x00\x00\x00\x05alice\x00\x00\x00\x06secret", id="looks-like-lengths"),
        pytest.param("a" * 300, id="one-character"),
        pytest.param("\x00" * 40, id="nul"),
        pytest.param("é€😀:é€😀", id="multi-byte"),
    ],
)
def test_every_split_of_one_string(joined: str) -> None:
    """A1: no two ways to split one string into identifier and secret share a key."""
    maker = deriver()
    splits = range(len(joined) + 1)
    keys = {maker.key("password", joined[:at], joined[at:]) for at in splits}
    assert len(keys) == len(joined) + 1


def test_a_million_pairs_are_apart() -> None:
    """A1: 10^6 pairs from small alphabets, empty parts and NUL among them, give 10^6 keys."""
    maker = deriver()
    words = ["".join(w) for n in range(5) for w in itertools.product("ab\x00:\xe9", repeat=n)]
    words += [f"user{number}" for number in range(1000 - len(words))]
    keys = {maker.key("password", user, secret) for user in words for secret in words}
    assert len(words) >= 781
    assert len(keys) == len(words) ** 2


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"issuer": "https://sso.example/"}, id="issuer"),
        pytest.param({"token_endpoint": "https://other.example/token"}, id="endpoint"),
        pytest.param({"client_id": "gateway2"}, id="client"),
        pytest.param({"scope": "openid"}, id="scope"),
        pytest.param({"audience": ""}, id="audience"),
        pytest.param({"deployment": "staging"}, id="deployment"),
        pytest.param({"secret": OLD}, id="secret"),
        pytest.param({"extra": ()}, id="extra-none"),
        pytest.param({"extra": (("resourc", "eorders"),)}, id="extra-split"),
        pytest.param({"issuer": "https://sso.exampleh", "token_endpoint": ""}, id="border"),
    ],
)
def test_anything_else_changed(changes: dict[str, object]) -> None:
    """A2: changing issuer, endpoint, client, scope, audience, deployment or secret is a miss."""
    changed = deriver(**changes)
    assert changed.key("password", "alice", "secret") != GOOD


def test_grant_changed() -> None:
    """A2: the same pair under another grant has another key."""
    assert deriver().key("client_credentials", "alice", "secret") != GOOD


def test_order_of_scopes() -> None:
    """A1: the order of scopes means nothing (RFC 6749 §3.3), so neither does it to the key."""
    assert deriver(scope="profile openid").key("password", "alice", "secret") == GOOD


def test_key_is_the_hmac_it_claims_to_be() -> None:
    """A1: the key is HMAC-SHA-256 over length-prefixed parts, computed here by the stdlib."""
    root = HKDF(SHA256(), 32, salt=None, info=b"bearergate token cache: keys").derive(NEW)
    extra = b"\x00\x00\x00\x08resource\x00\x00\x00\x06orders"
    parts = [
        b"\x01",
        b"bearergate",
        b"https://sso.example",
        b"https://sso.example/token",
        b"gateway",
        b"openid profile",
        b"orders",
        extra,
        b"password",
        b"alice",
        b"secret",
    ]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    assert hmac.digest(root, message, hashlib.sha256) == GOOD


@pytest.mark.parametrize(
    "secrets",
    [
        pytest.param([], id="none"),
        pytest.param([b"x" * 31], id="31-bytes"),
        pytest.param([NEW, b"short"], id="old-one-short"),
    ],
)
def test_secrets_refused(secrets: list[bytes]) -> None:
    """A3: no secret, or one of less than 32 bytes, makes no keys."""
    with pytest.raises(ValueError, match="secret"):
        SealingKeys(secrets)


def test_rotation() -> None:
    """A3: during an overlap what was sealed under the old secret is found and opened."""
    before, during = SealingKeys([OLD]), SealingKeys([NEW, OLD])
    old_key = before.deriver(**PREFIX).key("password", "alice", "secret")
    maker = during.deriver(**PREFIX)
    sealed = before.seal(old_key, b"token", NOW + 60)
    assert maker.older_keys("password", "alice", "secret") == (old_key,)
    assert maker.key("password", "alice", "secret") == GOOD
    assert during.open(old_key, sealed, NOW) == Opened(b"token", NOW + 60)


def test_after_rotation() -> None:
    """A3: after the overlap an old entry is a miss, never an error."""
    sealed = SealingKeys([OLD]).seal(GOOD, b"token", NOW + 60)
    assert KEYS.open(GOOD, sealed, NOW) is None
    assert deriver().older_keys("password", "alice", "secret") == ()


def test_sealed_under_the_new_secret_only() -> None:
    """A3: what is written during a rotation needs the new secret to open."""
    sealed = SealingKeys([NEW, OLD]).seal(GOOD, b"token", NOW + 60)
    assert KEYS.open(GOOD, sealed, NOW) == Opened(b"token", NOW + 60)
    assert SealingKeys([OLD]).open(GOOD, sealed, NOW) is None


def test_every_byte_flipped() -> None:
    """A4: a sealed value with any one byte changed does not open."""
    sealed = KEYS.seal(GOOD, b"token", NOW + 60)
    flipped = [
        sealed[:at] + bytes([sealed[at] ^ bit]) + sealed[at + 1 :]
        for at in range(len(sealed))
        for bit in (0x01, 0x80)
    ]
    assert [KEYS.open(GOOD, value, NOW) for value in flipped] == [None] * len(flipped)


def test_every_length() -> None:
    """A4: A13: a value cut short anywhere, or longer by a byte, does not open."""
    sealed = KEYS.seal(GOOD, b"token", NOW + 60)
    lengths = [sealed[:length] for length in range(len(sealed))] + [sealed + b"\x00"]
    assert [KEYS.open(GOOD, value, NOW) for value in lengths] == [None] * len(lengths)


def test_moved_to_another_key() -> None:
    """A4: the value of one key does not open under another."""
    sealed = KEYS.seal(GOOD, b"token", NOW + 60)
    other = deriver().key("password", "mallory", "secret")
    assert KEYS.open(other, sealed, NOW) is None


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00" + os.urandom(80), id="older-format"),
        pytest.param(b"\x02" + os.urandom(80), id="newer-format"),
        pytest.param(b"\x01" + os.urandom(80), id="noise"),
        pytest.param(b'{"access_token": "x"}', id="foreign"),
        pytest.param(b"\x80\x04\x95", id="pickle"),
    ],
)
def test_not_sealed_by_anyone(value: bytes) -> None:
    """A13: A15: garbage, foreign values and other formats do not open and do not raise."""
    assert KEYS.open(GOOD, value, NOW) is None


def test_same_plaintext_twice() -> None:
    """A4: two writes of one token give different bytes."""
    assert KEYS.seal(GOOD, b"token", NOW + 60) != KEYS.seal(GOOD, b"token", NOW + 60)


def test_plaintext_is_not_in_the_sealed_value() -> None:
    """A4: neither the token nor the key is legible in what is stored."""
    sealed = KEYS.seal(GOOD, b"eyJhbGciOi", NOW + 60)
    assert b"eyJ" not in sealed
    assert GOOD not in sealed


@pytest.mark.parametrize(
    ("now", "opened"),
    [
        pytest.param(NOW - 1, Opened(b"token", NOW), id="before"),
        pytest.param(NOW, None, id="at-expiry"),
        pytest.param(NOW + 1, None, id="after"),
    ],
)
def test_expiry_inside(now: float, opened: Opened | None) -> None:
    """A5: the expiry travels inside and is judged again when the value is opened."""
    assert KEYS.open(GOOD, KEYS.seal(GOOD, b"token", NOW), now) == opened


@pytest.mark.parametrize("expiry", [math.inf, -math.inf, math.nan])
def test_expiry_that_is_no_time(expiry: float) -> None:
    """A5: nothing is sealed without an end."""
    with pytest.raises(ValueError, match="finite"):
        KEYS.seal(GOOD, b"token", expiry)


def test_repr_of_an_opened_value() -> None:
    """L2: the repr of what was opened does not show it."""
    assert "token" not in repr(Opened(b"token", NOW))


OWNER = ("https://sso.example", "john")


@pytest.mark.parametrize(
    ("issuer", "identifier", "same"),
    [
        pytest.param(*OWNER, True, id="good"),
        pytest.param("https://sso.example", "JOHN", True, id="letter case"),
        pytest.param("https://sso.example", "\uff4aohn", True, id="full-width letter"),
        pytest.param("https://sso.example", "jon", False, id="another user"),
        pytest.param("https://partner.example", "john", False, id="another issuer"),
        pytest.param("https://sso.examplej", "ohn", False, id="split elsewhere"),
        pytest.param("https://sso.example", "\ud800", False, id="lone surrogate"),
    ],
)
def test_owners(issuer: str, identifier: str, *, same: bool) -> None:
    """A2: a user's pseudonym depends on issuer and name, not on letter case."""
    keys = SealingKeys([b"n" * 32])
    assert (keys.owners(issuer, identifier) == keys.owners(*OWNER)) is same


def test_owners_of_secrets() -> None:
    """A3: there is one pseudonym for each secret, the newest first, and none without it."""
    old, new = SealingKeys([b"o" * 32]), SealingKeys([b"n" * 32])
    both = SealingKeys([b"n" * 32, b"o" * 32])
    assert both.owners(*OWNER) == (*new.owners(*OWNER), *old.owners(*OWNER))
    assert new.owners(*OWNER) != SealingKeys([b"n" * 32], "other").owners(*OWNER)
    assert [len(owner) for owner in both.owners(*OWNER)] == [32, 32]


@pytest.mark.parametrize(
    ("copied", "same"),
    [
        pytest.param((), True, id="good"),
        pytest.param((("scope", "a"),), False, id="one field"),
        pytest.param((("scop", "ea"),), False, id="split elsewhere"),
        pytest.param((("scope", "a"), ("x", "")), False, id="two fields"),
    ],
)
def test_copied_fields(copied: tuple[tuple[str, str], ...], *, same: bool) -> None:
    """A1: what a token request copies from the caller's request is part of the key."""
    made = deriver().key("password", "alice", "secret", copied)
    assert (made == GOOD) is same
    assert made == deriver().key("password", "alice", "secret", copied)
    assert deriver().key("password", "alice", "secret", (("scope", "a"),)) != deriver().key(
        "password", "alice", "secret", (("scop", "ea"),)
    )
