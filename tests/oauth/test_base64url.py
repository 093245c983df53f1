from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.oauth import base64url


@given(st.binary(max_size=64))
def test_what_is_written_is_read_back(data):
    """Decoding is the inverse of encoding (RFC 7515 Appendix C)."""
    assert data == base64url.decode(base64url.encode(data))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("YQ==", id="J22 padding"),
        pytest.param("YR", id="J22 stray bits"),
        pytest.param("Y", id="J22 4n+1 long"),
        pytest.param("Pz8/", id="J22 slash of the other alphabet"),
        pytest.param("Pj4+", id="J22 plus of the other alphabet"),
        pytest.param("YW Jj", id="J22 space inside"),
        pytest.param("YWJj\n", id="J22 line break at the end"),
        pytest.param("YWJ\u0441", id="J22 not ASCII"),
        pytest.param("YW!Jj", id="J22 junk"),
    ],
)
def test_other_spellings_are_refused(text):
    """A value has one spelling; every other raises ValueError (J22)."""
    with pytest.raises(ValueError):  # noqa: PT011 - the kind of ValueError is base64's business
        base64url.decode(text)
