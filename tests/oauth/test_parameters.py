from __future__ import annotations

from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BodyTooLargeError, InvalidCredentialsError, RequestError
from gateway.oauth.credentials import (
    MAX_BODY_BYTES,
    MAX_FIELDS,
    Credentials,
    Kind,
    Place,
    read_form,
    read_parameters,
    read_query,
)

PASSWORD = frozenset({Kind.PASSWORD})
CLIENT = frozenset({Kind.CLIENT_CREDENTIALS})
BOTH = PASSWORD | CLIENT
ESCAPED_NAMES = b"a=1&user%6Eame=u&pass%77ord=p&b=2"


@pytest.mark.parametrize(
    ("data", "pair", "remainder"),
    [
        pytest.param(b"username=u&password=p", ("u", "p"), b"", id="alone"),
        pytest.param(b"a=1&username=u&b=2&password=p&c=3", ("u", "p"), b"a=1&b=2&c=3", id="C6"),
        pytest.param(b"password=p&a=%7e+%7E&username=u", ("u", "p"), b"a=%7e+%7E", id="C6 bytes"),
        pytest.param(b"&username=u&&password=p&", ("u", "p"), b"&&", id="C6 empty fields stay"),
        pytest.param(b"a&username=u&a&password=p&a", ("u", "p"), b"a&a&a", id="C6 repeated fields"),
        pytest.param(ESCAPED_NAMES, ("u", "p"), b"a=1&b=2", id="C7 escaped names"),
        pytest.param(b"username=a+b&password=%2B%26%3D%25", ("a b", "+&=%"), b"", id="C7 decoding"),
        pytest.param(b"username=u&password=a=b=c", ("u", "a=b=c"), b"", id="first = splits"),
        pytest.param(b"username=u;a=1&password=p", ("u;a=1", "p"), b"", id="C7 ; separates not"),
        pytest.param(b"username=%C3%A9&password=\xc3\xa9", ("é", "é"), b"", id="UTF-8"),
        pytest.param(
            b"username=u&password=p&client_id=c&client_secret=s",
            ("u", "p"),
            b"client_id=c&client_secret=s",
            id="the other pair is not enabled",
        ),
        pytest.param(b"Username=x&username=u&password=p", ("u", "p"), b"Username=x", id="case"),
        pytest.param(b"100%=x&%zz=&username=u&password=p", ("u", "p"), b"100%=x&%zz=", id="junk"),
    ],
)
@pytest.mark.parametrize(
    ("read", "place"),
    [
        pytest.param(read_query, Place.QUERY, id="query"),
        pytest.param(read_form, Place.BODY, id="form"),
    ],
)
def test_pair_is_read_and_removed(read, place, data, pair, remainder):
    """The pair is read decoded and removed; every other byte stays (C6, C7)."""
    extraction = read(data, PASSWORD)
    assert Credentials(*pair, place, Kind.PASSWORD) == extraction.credentials
    assert remainder == extraction.remainder


def test_client_credentials_have_their_own_names():
    """client_id and client_secret are the pair of the other grant (C3)."""
    extraction = read_form(b"client_id=c&x=&client_secret=s", BOTH)
    assert Credentials("c", "s", Place.BODY, Kind.CLIENT_CREDENTIALS) == extraction.credentials
    assert extraction.remainder == b"x="


def test_identifier_of_the_other_pair_stays():
    """A client_id beside a user's pair is an ordinary parameter (C6)."""
    extraction = read_form(b"client_id=app&username=u&password=p", BOTH)
    assert extraction.credentials.kind is Kind.PASSWORD
    assert extraction.remainder == b"client_id=app"


@pytest.mark.parametrize(
    ("data", "kinds"),
    [
        pytest.param(b"", BOTH, id="empty"),
        pytest.param(b"a=1&b=2", BOTH, id="other fields"),
        pytest.param(b"username=u&client_id=c", BOTH, id="identifiers alone"),
        pytest.param(b"username=u&password=p", CLIENT, id="kind not enabled"),
        pytest.param(b"username=u&password=p", frozenset({Kind.BASIC}), id="Basic has no names"),
        pytest.param(b"a=1;username=u;password=p", BOTH, id="C7 ; is no separator"),
        pytest.param(b"a=username=u%26password=p", BOTH, id="C7 an escaped & is no separator"),
        pytest.param(b"PASSWORD=p&user.name=u", BOTH, id="other names"),
        pytest.param(b"password%00=p&username=u", BOTH, id="a longer name"),
    ],
)
def test_no_pair_is_no_credentials(data, kinds):
    """Without the whole pair of an enabled kind there are no credentials (C1)."""
    assert read_query(data, kinds) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"username=u&username=u&password=p", id="C3 the user twice"),
        pytest.param(b"username=u&password=p&password=q", id="C3 the password twice"),
        pytest.param(b"username=u&username=v", id="C3 twice without a password"),
        pytest.param(b"username=u&password=p&pass%77ord=p", id="C3 C7 twice, once escaped"),
        pytest.param(b"username=u&password=p&password", id="C3 twice, once bare"),
        pytest.param(b"client_id=c&client_id=c", id="C3 client_id twice"),
        pytest.param(b"password=p", id="a stray password"),
        pytest.param(b"username=u&client_secret=s", id="a stray client_secret"),
        pytest.param(b"username=u&password=p&client_secret=s", id="a pair and a stray secret"),
        pytest.param(b"username=u&password=p&client_id=c&client_secret=s", id="B9 two pairs"),
    ],
)
def test_parameters_with_two_readings_are_refused(data):
    """A duplicate, a stray secret or a second pair is a 400 (C3, B9)."""
    with pytest.raises(RequestError):
        read_query(data, BOTH)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"username=&password=p", id="B6 empty user"),
        pytest.param(b"username=u&password=", id="B6 empty password"),
        pytest.param(b"username=u&password", id="B6 bare name"),
        pytest.param(b"username=u&password=%0d%0a", id="B5 escaped control"),
        pytest.param(b"username=u\x7f&password=p", id="B5 raw control"),
        pytest.param(b"username=u&password=p\r\n", id="B5 line break at the end"),
        pytest.param(b"username=%C2%85&password=p", id="B5 C1"),
        pytest.param(b"username=%ff&password=p", id="B3 not UTF-8"),
        pytest.param(b"username=u&password=100%", id="broken escape at the end"),
        pytest.param(b"username=u&password=%zz", id="broken escape"),
        pytest.param(b"username=%u0041&password=p", id="an escape of another syntax"),
        pytest.param(b"username=u&password=%0", id="half an escape"),
    ],
)
def test_unreadable_pair_is_refused(data):
    """A pair whose values have no reading is a 401, as with Basic (B3, B5, B6)."""
    with pytest.raises(InvalidCredentialsError):
        read_form(data, PASSWORD)


def test_many_fields_are_read():
    """A thousand fields are within the limit (C2)."""
    data = b"&".join([b"username=u", b"password=p", *[b"a=1"] * (MAX_FIELDS - 2)])
    assert read_form(data, PASSWORD) is not None
    assert read_query(data, PASSWORD) is not None


def test_too_many_fields_are_refused():
    """One field more is a 413 in a form and a 400 in a query (C2)."""
    data = b"&" * MAX_FIELDS
    with pytest.raises(BodyTooLargeError):
        read_form(data, PASSWORD)
    with pytest.raises(RequestError) as caught:
        read_query(data, PASSWORD)
    assert caught.value.status == 400


def test_large_form_is_refused():
    """A form over 64 KiB is a 413 (C2)."""
    assert read_form(b"a" * MAX_BODY_BYTES, PASSWORD) is None
    with pytest.raises(BodyTooLargeError):
        read_form(b"a" * (MAX_BODY_BYTES + 1), PASSWORD)


def test_secrets_are_not_shown():
    """Neither the secret nor the remainder is in the representation (C8)."""
    shown = repr(read_query(b"token=canary1&username=u&password=canary2", PASSWORD))
    assert "canary" not in shown


FIELD = st.just(b"") | st.binary(max_size=12).map(lambda data: b"x" + data.replace(b"&", b"%26"))
TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(st.lists(FIELD, max_size=6), st.integers(0, 6), st.integers(0, 6), TEXT, TEXT)
def test_stripping_is_the_inverse_of_adding(fields, first, second, user, password):
    """A pair put anywhere among any fields is found and its removal restores the bytes (C6)."""
    named = [*fields]
    named.insert(first, b"username=" + quote_plus(user).encode())
    named.insert(second, b"password=" + quote_plus(password).encode())
    extraction = read_query(b"&".join(named), PASSWORD)
    assert Credentials(user, password, Place.QUERY, Kind.PASSWORD) == extraction.credentials
    assert b"&".join(fields) == extraction.remainder


@given(
    st.binary(max_size=80)
    | st.lists(
        st.sampled_from(
            [b"username", b"password", b"client_id", b"client_secret", b"=", b"&", b"%", b"x"]
        )
    ).map(b"".join)
)
def test_any_query_is_read_or_refused(data):
    """No query raises anything but the errors of the contract, and no name of the pair stays."""
    try:
        extraction = read_query(data, BOTH)
    except (InvalidCredentialsError, RequestError):
        return
    if extraction is not None:
        assert read_query(extraction.remainder, frozenset({extraction.credentials.kind})) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", (), id="nothing"),
        pytest.param(
            b"z=1&scope=a+b%20c&otp=%C3%A9", (("otp", "é"), ("scope", "a b c")), id="sorted"
        ),
        pytest.param(b"sc%6Fpe=x", (("scope", "x"),), id="C7-encoded-name"),
        pytest.param(b"scope", (("scope", ""),), id="without-a-value"),
    ],
)
def test_named_parameters(data, expected):
    """Parameters for the token request are read decoded, and no others."""
    assert expected == read_parameters(data, {"scope", "otp"})


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"scope=a&scope=b", id="C3-twice"),
        pytest.param(b"scope=%zz", id="broken-escape"),
        pytest.param(b"scope=%ff", id="not-utf-8"),
    ],
)
def test_wrong_named_parameters(data):
    """A parameter that can be read two ways, or not at all, is refused."""
    with pytest.raises(RequestError):
        read_parameters(data, {"scope"})
