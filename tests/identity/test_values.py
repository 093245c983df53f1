"""Claims as values of header fields: one reading each, and nothing that ends a line."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.values import MAX_VALUE_BYTES, UntellableError, write_claim, write_words

STRUCTURE = {"street": "Höhe 1", "tags": ["a", {"b": None}]}


def in_base64(value):
    """Return JSON in base64."""
    return base64.b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("john", "john", id="text"),
        pytest.param("John Q. Doe, <j@x.example>", "John Q. Doe, <j@x.example>", id="visible"),
        pytest.param("Jörg", "J%C3%B6rg", id="latin"),
        pytest.param("한", "%ED%95%9C", id="hangul"),
        pytest.param("Ņ", "%C5%85", id="bytes-that-latin-1-reads-as-a-line-end"),
        pytest.param("100%", "100%25", id="percent"),
        pytest.param("%41", "%2541", id="encoded-already"),
        pytest.param(" a  b ", "%20a  b%20", id="spaces-at-the-ends"),
        pytest.param("  ", "%20%20", id="nothing-but-spaces"),
        pytest.param(7, "7", id="number"),
        pytest.param(7.0, "7", id="whole-float"),
        pytest.param(7.5, "7.5", id="float"),
        pytest.param(True, "true", id="true"),
        pytest.param(False, "false", id="false"),
        pytest.param(["a", "b c", 3, True], "a, b c, 3, true", id="list"),
        pytest.param(["a,b", "c"], "a%2Cb, c", id="list-with-a-comma-in-a-member"),
        pytest.param(("a", " b"), "a, %20b", id="tuple"),
        pytest.param(STRUCTURE, in_base64(STRUCTURE), id="object"),
        pytest.param([STRUCTURE], in_base64([STRUCTURE]), id="list-of-objects"),
        pytest.param(["a", None], in_base64(["a", None]), id="list-with-a-null"),
        pytest.param({"a": "\r\nX: y"}, in_base64({"a": "\r\nX: y"}), id="control-in-an-object"),
        pytest.param(None, None, id="P4-null"),
        pytest.param("", None, id="P4-empty"),
        pytest.param([], None, id="P4-empty-list"),
        pytest.param([""], None, id="P4-list-of-nothing"),
        pytest.param("x" * MAX_VALUE_BYTES, "x" * MAX_VALUE_BYTES, id="longest"),
    ],
)
def test_value(value, written):
    """A claim has one way of being written, and an absent one none."""
    assert written == write_claim("X-User", value)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("a\r\nX-Admin: true", id="line"),
        pytest.param("a\nb", id="line-feed"),
        pytest.param("a\x00", id="nul"),
        pytest.param("a\tb", id="tab"),
        pytest.param("a\x7f", id="delete"),
        pytest.param("a\x85X-Admin: true", id="next-line"),
        pytest.param("a\u2028b", id="line-separator"),
        pytest.param("a\ud800", id="half-a-character"),
        pytest.param(["a", "b\r\nX-Admin: true"], id="list"),
        pytest.param("x" * (MAX_VALUE_BYTES + 1), id="too-long"),
        pytest.param("ö" * (MAX_VALUE_BYTES // 6 + 1), id="too-long-encoded"),
        pytest.param(["x" * 90] * 90, id="list-too-long"),
        pytest.param({"a": "x" * MAX_VALUE_BYTES}, id="object-too-long"),
    ],
)
def test_untellable(value):
    """P5, P27: what cannot be told whole and in one line is not told, and the caller refused."""
    with pytest.raises(UntellableError) as caught:
        write_claim("X-User", value)

    assert caught.value.status == 403
    assert caught.value.cause.startswith("X-User: the claim ")


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))))
def test_every_text_comes_back(text):
    """A reader that decodes percent-encoding once has the claim; the line is visible ASCII."""
    written = write_claim("X-User", text) or ""

    assert text == unquote(written, errors="strict")
    assert re.fullmatch(r"([!-~]([ -~]*[!-~])?)?", written)


@given(st.lists(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1)))
def test_every_list_comes_back(texts):
    """P5: a member of a list cannot make itself two."""
    written = write_claim("X-Groups", texts)

    assert texts == ([] if written is None else [unquote(each) for each in written.split(", ")])


@given(st.text())
def test_no_text_ends_a_line(text):
    """P27: whatever a claim holds, what is written is one line of visible ASCII, or nothing."""
    try:
        written = write_claim("X-User", text)
    except UntellableError:
        return
    assert re.fullmatch(r"[ -~]*", written or "")


def test_words():
    """Scopes are joined by spaces, and none holds one."""
    assert "openid a%20b" == write_words("X-Scope", ["openid", "a b"])
    assert write_words("X-Scope", []) is None
