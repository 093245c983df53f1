from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BodyTooLargeError, InvalidCredentialsError, RequestError
from gateway.oauth.credentials import MAX_BODY_BYTES, Credentials, Kind, Place, read_json

PASSWORD = frozenset({Kind.PASSWORD})
BOTH = frozenset({Kind.PASSWORD, Kind.CLIENT_CREDENTIALS})
SPACED = b'\n{\n  "a" : 1 ,\n  "username": "u",\n  "password" : "p"\n}\n'


@pytest.mark.parametrize(
    ("body", "remainder"),
    [
        pytest.param(b'{"username":"u","password":"p"}', b"{}", id="alone"),
        pytest.param(b'{"username":"u","a":1,"password":"p"}', b'{"a":1}', id="around"),
        pytest.param(
            b'{"a":1,"password":"p","username":"u","b":2}', b'{"a":1,"b":2}', id="between"
        ),
        pytest.param(SPACED, b'\n{\n  "a" : 1 }\n', id="C6 white space of the others"),
        pytest.param(b' { "username":"u" , "password":"p" } ', b" {} ", id="C6 nothing left"),
        pytest.param(rb'{"user\u006eame":"u","\u0070assword":"p"}', b"{}", id="C7 escaped names"),
        pytest.param(
            b'{"n":1.50e+0,"s":"\\u0041\\/","username":"u","password":"p"}',
            b'{"n":1.50e+0,"s":"\\u0041\\/"}',
            id="C6 spelling of the others",
        ),
        pytest.param(
            b'{"o":{"username":"x","password":"y"},"username":"u","password":"p"}',
            b'{"o":{"username":"x","password":"y"}}',
            id="C6 nested members are not ours",
        ),
        pytest.param(
            b'{"a":"},{\\"password\\":","username":"u","password":"p"}',
            b'{"a":"},{\\"password\\":"}',
            id="C6 structure in a string",
        ),
        pytest.param(
            '{"é":"\U0001f600","username":"u","password":"p"}'.encode(),
            '{"é":"\U0001f600"}'.encode(),
            id="C6 beyond ASCII",
        ),
    ],
)
def test_members_are_read_and_removed(body, remainder):
    """The two members are cut out of the text; every other byte stays (C4, C6)."""
    extraction = read_json(body, PASSWORD)
    assert Credentials("u", "p", Place.BODY, Kind.PASSWORD) == extraction.credentials
    assert remainder == extraction.remainder


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty body"),
        pytest.param(b"{}", id="empty object"),
        pytest.param(b'{"username":"u"}', id="identifier alone"),
        pytest.param(b'{"username":5}', id="identifier alone, whatever it is"),
        pytest.param(b'{"o":{"username":"u","password":"p"}}', id="nested"),
    ],
)
def test_no_pair_is_no_credentials(body):
    """Without the whole pair at the top level there are no credentials (C1)."""
    assert read_json(body, BOTH) is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[]", id="C4 array"),
        pytest.param(b'"username"', id="C4 string"),
        pytest.param(b"null", id="C4 null"),
        pytest.param(b" ", id="C4 white space"),
        pytest.param(b'{"username":"u","password":"p"', id="C4 cut short"),
        pytest.param(b'{"username":"u","password":"p"}x', id="C4 more behind it"),
        pytest.param(b'\xef\xbb\xbf{"username":"u","password":"p"}', id="C4 byte order mark"),
        pytest.param('{"username":"u","password":"p"}'.encode("utf-16"), id="C4 UTF-16"),
        pytest.param('{"username":"u","password":"p"}'.encode("utf-16-le"), id="C4 UTF-16LE"),
        pytest.param(b'{"username":"u","username":"v","password":"p"}', id="C3 C4 duplicate"),
        pytest.param(rb'{"username":"u","password":"p","passw\u006frd":"q"}', id="C4 C7 escaped"),
        pytest.param(b'{"a":1,"a":2}', id="C4 duplicate of another name"),
        pytest.param(b'{"o":{"a":1,"a":2}}', id="C4 nested duplicate"),
        pytest.param(b'{"username":1,"password":"p"}', id="C4 number"),
        pytest.param(b'{"username":"u","password":null}', id="C4 null password"),
        pytest.param(b'{"username":["u"],"password":"p"}', id="C4 list"),
        pytest.param(b'{"a":NaN}', id="C4 NaN"),
        pytest.param(b'{"a":-Infinity}', id="C4 Infinity"),
        pytest.param(b'{"a":1e400}', id="C4 a number beyond a double"),
        pytest.param(b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", id="C4 33 deep"),
        pytest.param(b'{"a":' + b"[" * 30_000, id="C4 30,000 deep"),
        pytest.param(rb'{"username":"\ud800","password":"p"}', id="C4 half a surrogate pair"),
        pytest.param(b'{"username":"\xff","password":"p"}', id="C4 not UTF-8"),
        pytest.param(b'{"password":"p"}', id="stray secret"),
        pytest.param(
            b'{"username":"u","password":"p","client_id":"c","client_secret":"s"}',
            id="B9 two pairs",
        ),
    ],
)
def test_bad_json_is_refused(body):
    """JSON with no reading, or with two, is a 400 (C4)."""
    with pytest.raises(RequestError):
        read_json(body, BOTH)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"username":"","password":"p"}', id="B6 empty user"),
        pytest.param(b'{"username":"u","password":""}', id="B6 empty password"),
        pytest.param(rb'{"username":"u\u0000","password":"p"}', id="B5 NUL"),
        pytest.param(rb'{"username":"u","password":"\n"}', id="B5 line feed"),
    ],
)
def test_unusable_pair_is_refused(body):
    """A pair that Basic could not carry either is a 401 (B5, B6)."""
    with pytest.raises(InvalidCredentialsError):
        read_json(body, PASSWORD)


def test_thirty_two_levels_are_read():
    """Nesting up to the limit is fine (C4)."""
    body = b'{"a":' + b"[" * 31 + b"]" * 31 + b',"username":"u","password":"p"}'
    assert read_json(body, PASSWORD) is not None


def test_large_body_is_refused():
    """A JSON body over 64 KiB is a 413 (C2)."""
    with pytest.raises(BodyTooLargeError):
        read_json(b" " * (MAX_BODY_BYTES + 1), PASSWORD)


TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
SECRET = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@given(
    members=st.dictionaries(TEXT, VALUES, max_size=5),
    pair=st.tuples(SECRET, SECRET),
    order=st.randoms(use_true_random=False),
    indent=st.sampled_from([None, 0, 2, "\t"]),
    ascii_only=st.booleans(),
)
def test_remainder_is_the_object_without_the_pair(members, pair, order, indent, ascii_only):
    """What is left is the same object minus the two members, however it was written (C6)."""
    members = {**members, "username": pair[0], "password": pair[1]}
    names = list(members)
    order.shuffle(names)
    shuffled = {name: members[name] for name in names}
    body = json.dumps(shuffled, indent=indent, ensure_ascii=ascii_only).encode()
    extraction = read_json(body, PASSWORD)
    assert Credentials(*pair, Place.BODY, Kind.PASSWORD) == extraction.credentials
    del shuffled["username"], shuffled["password"]
    assert list(shuffled.items()) == list(json.loads(extraction.remainder).items())


@given(st.binary(max_size=60))
def test_any_body_is_read_or_refused(body):
    """No body raises anything but the errors of the contract (C4)."""
    try:
        read_json(body, BOTH)
    except (InvalidCredentialsError, RequestError):
        return
