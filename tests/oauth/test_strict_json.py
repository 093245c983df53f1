from __future__ import annotations

import pytest

from gateway.oauth.strict_json import MAX_DEPTH, StrictJSONError, is_number, read_object, read_value
from tests.oauth.minting import VECTORS, needs_vectors

SUITE = sorted((VECTORS / "JSONTestSuite/test_parsing").glob("*.json"))


def vectors(prefix):
    """List the files of JSONTestSuite that begin with ``prefix``."""
    return [pytest.param(path, id=path.stem) for path in SUITE if path.name.startswith(prefix)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"{}", {}, id="empty"),
        pytest.param(b' {"a": [1, 2.5, true, null, "x"]} ', {"a": [1, 2.5, True, None, "x"]}),
        pytest.param(rb'{"a":"\ud83d\ude00"}', {"a": "\U0001f600"}, id="an escaped pair"),
        pytest.param(b'{"":{"":0}}', {"": {"": 0}}, id="one name at two levels"),
        pytest.param(b'{"a":"[[[{{{\\""}', {"a": '[[[{{{"'}, id="brackets in a string"),
    ],
)
def test_object_is_read(data, expected):
    """Plain JSON objects are read as what they say (RFC 8259)."""
    assert expected == read_object(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="not an object"),
        pytest.param(b"\xef\xbb\xbf{}", id="J13 byte order mark"),
        pytest.param("{}".encode("utf-16"), id="J13 UTF-16"),
        pytest.param("{}".encode("utf-32-be"), id="J13 UTF-32"),
        pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', id="J13 a raw surrogate"),
        pytest.param(rb'{"a":"\ud800"}', id="J13 an escaped surrogate"),
        pytest.param(rb'{"\udc00":1}', id="J13 a surrogate in a name"),
        pytest.param(rb'{"a":["x",{"b":"\udead\ud800"}]}', id="J13 surrogates deep inside"),
        pytest.param(b'{"a":1,"a":1}', id="J12 duplicate"),
        pytest.param(rb'{"a":1,"\u0061":1}', id="J12 duplicate, once escaped"),
        pytest.param(b'{"o":[{"a":1,"a":2}]}', id="J12 nested duplicate"),
        pytest.param(b'{"a":NaN}', id="J13 NaN"),
        pytest.param(b'{"a":Infinity}', id="J13 Infinity"),
        pytest.param(b'{"a":-Infinity}', id="J13 minus Infinity"),
        pytest.param(b'{"a":1e999}', id="beyond a double"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="5,000 digits"),
        pytest.param(b'{"a":"\n"}', id="raw control character"),
        pytest.param(b"{} {}", id="two values"),
        pytest.param(b"{'a':1}", id="another quote"),
        pytest.param(b'{"a":1,}', id="comma at the end"),
        pytest.param(b'{"a":' * 100_000, id="J13 100,000 deep"),
        pytest.param(b'"' + b"\\" * 100_001, id="a string without end"),
        pytest.param(b'{"' + b'\\"' * 250_000, id="250,000 escaped quotes without end"),
    ],
)
def test_other_bytes_are_refused(data):
    """What has no reading, or more than one, raises one kind of error (J12, J13, C4)."""
    with pytest.raises(StrictJSONError):
        read_object(data)


def test_depth_is_counted_exactly():
    """The limit itself is allowed and one more is not (J13)."""
    assert read_value(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    with pytest.raises(StrictJSONError):
        read_value(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


def test_error_quotes_nothing():
    """The text of an error holds nothing of the bytes (L1)."""
    with pytest.raises(StrictJSONError) as caught:
        read_object(b'{"canary": canary}')
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(1, True, id="integer"),
        pytest.param(1.5, True, id="float"),
        pytest.param(True, False, id="J18 boolean"),
        pytest.param("1", False, id="J18 string"),
        pytest.param(None, False, id="null"),
    ],
)
def test_number_is_told_from_boolean(value, expected):
    """True and false are no numbers, whatever Python thinks (J18)."""
    assert expected is is_number(value)


@needs_vectors
def test_the_suite_is_complete():
    """JSONTestSuite has 318 files, so an empty folder cannot pass for a run (N5)."""
    assert len(SUITE) == 318


@needs_vectors
@pytest.mark.parametrize("path", vectors("n_"))
def test_invalid_json_is_never_accepted(path):
    """What JSONTestSuite calls invalid is refused (N5)."""
    with pytest.raises(StrictJSONError):
        read_value(path.read_bytes())


# Valid JSON by the grammar, refused because readers disagree about its meaning (RFC 7493 §2.3).
DUPLICATES = {"y_object_duplicated_key", "y_object_duplicated_key_and_value"}


@needs_vectors
@pytest.mark.parametrize(
    "path", [case for case in vectors("y_") if case.values[0].stem not in DUPLICATES]
)
def test_valid_json_is_accepted(path):
    """What JSONTestSuite calls valid is accepted, duplicate names excepted (N5)."""
    read_value(path.read_bytes())


@needs_vectors
@pytest.mark.parametrize(
    "path", [case for case in vectors("y_") if case.values[0].stem in DUPLICATES]
)
def test_valid_json_with_duplicate_names_is_refused(path):
    """Duplicate names are refused although the grammar allows them (J12, C4)."""
    with pytest.raises(StrictJSONError):
        read_value(path.read_bytes())


@needs_vectors
@pytest.mark.parametrize("path", vectors("i_"))
def test_undecided_json_raises_nothing_else(path):
    """What JSONTestSuite leaves open is read or refused, and never ends in another error (N5)."""
    try:
        read_value(path.read_bytes())
    except StrictJSONError:
        return
