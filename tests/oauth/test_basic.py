from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidCredentialsError, RequestError
from gateway.oauth.credentials import Credentials, Kind, Place, read_authorization


def basic(pair):
    """Write the field value for the bytes or text of a pair."""
    return b"Basic " + base64.b64encode(pair if isinstance(pair, bytes) else pair.encode())


def credentials(identifier, secret):
    """Name what a Basic field is read as."""
    return Credentials(identifier, secret, Place.HEADER, Kind.BASIC)


@pytest.mark.parametrize(
    ("value", "pair"),
    [
        pytest.param(
            b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", ("Aladdin", "open sesame"), id="RFC 7617 2"
        ),
        pytest.param(b"Basic dGVzdDoxMjPCow==", ("test", "123£"), id="B3 RFC 7617 2.1"),
        pytest.param(b"basic YTpi", ("a", "b"), id="B1 lower case"),
        pytest.param(b"BASIC YTpi", ("a", "b"), id="B1 upper case"),
        pytest.param(b"bAsIc YTpi", ("a", "b"), id="B1 mixed case"),
        pytest.param(b"Basic   YTpi", ("a", "b"), id="B1 three spaces"),
        pytest.param(basic("a:b:c:"), ("a", "b:c:"), id="B2 colons in the password"),
        pytest.param(basic("a::"), ("a", ":"), id="B2 a colon as the password"),
        pytest.param(basic("Alice:pw"), ("Alice", "pw"), id="B4 case is kept"),
        pytest.param(basic(" a : p "), (" a ", " p "), id="B4 spaces are kept"),
        pytest.param(basic("\u00e9:p"), ("\u00e9", "p"), id="B4 composed"),
        pytest.param(basic("e\u0301:p"), ("e\u0301", "p"), id="B4 decomposed"),
        pytest.param(basic("a\u00a0b:\u200d\U0001f600"), ("a\u00a0b", "\u200d\U0001f600"), id="B5"),
        pytest.param(basic("a" * 3000 + ":" + "b" * 3000), ("a" * 3000, "b" * 3000), id="B10 long"),
    ],
)
def test_basic_pair_is_read(value, pair):
    """Every spelling RFC 7617 allows gives exactly the bytes that were sent."""
    assert credentials(*pair) == read_authorization([value])


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="B11 no field"),
        pytest.param([b""], id="B11 empty"),
        pytest.param([b"Bearer abc"], id="B11 B12 bearer"),
        pytest.param([b"Digest username=x, realm=y"], id="B11 digest has commas of its own"),
        pytest.param([b"Basically YTpi"], id="B11 a longer name"),
        pytest.param([b"Negotiate YII="], id="B11 negotiate"),
    ],
)
def test_other_scheme_is_not_ours(values):
    """No field and fields of other schemes are no credentials, and no error either (B11)."""
    assert read_authorization(values) is None


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"Basic", id="no value"),
        pytest.param(b"basic ", id="empty value"),
        pytest.param(b"Basic\tYTpi", id="B1 tab after the scheme"),
        pytest.param(b"Basic \tYTpi", id="B1 tab after the space"),
        pytest.param(basic("ab"), id="B2 no colon"),
        pytest.param(basic(b"\xffa:b"), id="B3 not UTF-8"),
        pytest.param(basic(b"\xed\xa0\x80:b"), id="B3 a surrogate"),
        pytest.param(basic(b"\xc0\xaf:b"), id="B3 an overlong form"),
        pytest.param(basic("a\x00:b"), id="B5 NUL in the user"),
        pytest.param(basic("a:b\r\n"), id="B5 CR LF in the password"),
        pytest.param(basic("a:\x1f"), id="B5 C0"),
        pytest.param(basic("a:\x7f"), id="B5 DEL"),
        pytest.param(basic("a:\x80"), id="B5 C1 first"),
        pytest.param(basic("\x9f:a"), id="B5 C1 last"),
        pytest.param(basic(":b"), id="B6 empty user"),
        pytest.param(basic("a:"), id="B6 empty password"),
        pytest.param(basic(":"), id="B6 both empty"),
        pytest.param(b"Basic YTpi=", id="B7 excess padding"),
        pytest.param(b"Basic YTpi====", id="B7 much excess padding"),
        pytest.param(b"Basic YTo", id="B7 not 4n long"),
        pytest.param(b"Basic YTpiY", id="B7 4n+1 long"),
        pytest.param(b"Basic =YTpi", id="B7 leading padding"),
        pytest.param(b"Basic YTpi YTpi", id="B7 space inside"),
        pytest.param(b"Basic YTpi ", id="B7 trailing space"),
        pytest.param(b"Basic YT\npi", id="B7 line break inside"),
        pytest.param(b"Basic YTpi!", id="B7 junk"),
        pytest.param(b"Basic Pz8_Oj8_", id="B7 URL alphabet"),
        pytest.param(b"Basic YTpiYy==", id="B7 stray bits"),
        pytest.param(b"Basic YTpiYyE\xff", id="B7 not ASCII"),
    ],
)
def test_unreadable_basic_is_refused(value):
    """A Basic value with no reading, or not the canonical one, is a 401 (B1, B2, B3, B5-B7)."""
    with pytest.raises(InvalidCredentialsError):
        read_authorization([value])


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([b"Basic YTpi", b"Basic YTpi"], id="B8 twice the same"),
        pytest.param([b"Bearer x", b"Basic YTpi"], id="B8 two schemes"),
        pytest.param([b"Basic YTpi, Basic YTpi"], id="B8 a list"),
        pytest.param([b"Basic YTpi,Bearer x"], id="B8 a list without space"),
        pytest.param([b"Basic YTpi,"], id="B8 a list with an empty element"),
        pytest.param([b"Bearer x, Basic YTpi"], id="B8 Bearer first"),
        pytest.param([b"Bearer x,y"], id="B8 Bearer with a comma"),
        pytest.param([b"Digest a=b, bAsIc YTpi"], id="B8 hidden behind Digest"),
        pytest.param([b"Digest a=b,\tBearer x"], id="B8 Bearer behind Digest"),
    ],
)
def test_more_than_one_credential_is_refused(values):
    """Two fields or a list of credentials is a 400: there is one method per request (B8)."""
    with pytest.raises(RequestError):
        read_authorization(values)


def test_secret_is_not_shown():
    """The representation of credentials leaves the secret out (L1)."""
    assert "open sesame" not in repr(read_authorization([basic("Aladdin:open sesame")]))


@given(st.binary(max_size=64))
def test_any_value_is_read_one_way_or_refused(data):
    """Whatever is accepted writes back to the very same value, whatever else is a 401 (B7)."""
    value = basic(data)
    try:
        read = read_authorization([value])
    except InvalidCredentialsError:
        return
    assert basic(f"{read.identifier}:{read.secret}") == value


@given(st.binary(max_size=64))
def test_any_token_is_read_one_way_or_refused(token):
    """No junk after the scheme raises anything but the errors of the contract (B7, B8)."""
    try:
        read = read_authorization([b"Basic " + token])
    except (InvalidCredentialsError, RequestError):
        return
    assert basic(f"{read.identifier}:{read.secret}") == b"Basic " + token.lstrip(b" ")
