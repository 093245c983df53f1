from __future__ import annotations

import pytest

from gateway.errors import RequestError
from gateway.oauth.credentials import body_carrier

FORM = b"application/x-www-form-urlencoded"
JSON = b"application/json"


@pytest.mark.parametrize(
    ("method", "content_type", "expected"),
    [
        pytest.param("POST", FORM, "form", id="C2 form"),
        pytest.param("PUT", FORM, "form", id="C2 PUT"),
        pytest.param("PATCH", JSON, "json", id="C2 PATCH"),
        pytest.param("POST", FORM.upper(), "form", id="C2 any case"),
        pytest.param("POST", FORM + b" ;charset=UTF-8", "form", id="C2 charset"),
        pytest.param("POST", JSON + b'; charset="utf-8"', "json", id="C2 quoted charset"),
        pytest.param("POST", JSON + b"; v=2; charset=utf8", "json", id="C2 parameters"),
        pytest.param("GET", FORM, None, id="C9 GET"),
        pytest.param("DELETE", JSON, None, id="C2 DELETE"),
        pytest.param("post", JSON, None, id="C2 methods have a case"),
        pytest.param("POST", b"multipart/form-data; boundary=x", None, id="C5 multipart"),
        pytest.param("POST", b"application/jsonp", None, id="C2 a longer name"),
        pytest.param("POST", b"application/vnd.api+json", None, id="C2 another JSON type"),
        pytest.param("POST", b"text/plain; x=application/json", None, id="C2 in a parameter"),
        pytest.param("POST", b"", None, id="C2 empty"),
    ],
)
def test_carrier_is_told_by_method_and_media_type(method, content_type, expected):
    """Two media types on three methods can carry credentials, and nothing else (C2, C5, C9)."""
    assert expected == body_carrier(method, [content_type], [])


def test_body_without_type_is_no_carrier():
    """A body that does not say its type is not searched (C2)."""
    assert body_carrier("POST", [], [b"gzip"]) is None


@pytest.mark.parametrize("coding", [pytest.param(b"identity", id="C9"), pytest.param(b"Identity ")])
def test_identity_is_no_encoding(coding):
    """A body under the identity coding is as it was (C9)."""
    assert body_carrier("POST", [JSON], [coding]) == "json"


def test_encoded_body_of_another_type_passes():
    """What cannot carry credentials may be encoded (C9)."""
    assert body_carrier("POST", [b"text/plain"], [b"gzip"]) is None


@pytest.mark.parametrize(
    ("content_types", "codings"),
    [
        pytest.param([JSON], [b"gzip"], id="C9 gzip"),
        pytest.param([FORM], [b"identity, br"], id="C9 list"),
        pytest.param([FORM], [b"identity", b"br"], id="C9 second field"),
        pytest.param([JSON, b"text/plain"], [], id="two types, ours first"),
        pytest.param([b"text/plain", FORM], [], id="two types, ours last"),
        pytest.param([JSON + b"; charset=utf-16"], [], id="C4 charset"),
        pytest.param([FORM + b"; charset=utf-8; Charset=latin1"], [], id="C4 two charsets"),
    ],
)
def test_carrier_with_two_readings_is_refused(content_types, codings):
    """A carrier whose bytes the upstream may read otherwise is a 400 (C4, C9)."""
    with pytest.raises(RequestError):
        body_carrier("POST", content_types, codings)
