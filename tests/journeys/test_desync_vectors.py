"""Every case of http-desync-guardian is refused, or arrives as one request (P15, trap 16)."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.fakes.caller import basic

JOHN = basic("john", "doe")
AUTHORIZATION = b"%b: %b\r\n" % JOHN
VECTORS = Path(__file__).parents[2] / "../shared/vectors/http-desync-guardian"
REFUSED = range(400, 500)


def load_vectors(*tiers):
    """Give the cases of the guardian's files that are in one of the tiers."""
    if not VECTORS.is_dir():
        reason = f"no http-desync-guardian vectors at {VECTORS}"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="absent")]
    cases = [
        case for file in sorted(VECTORS.glob("*.yaml")) for case in yaml.safe_load(file.read_text())
    ]
    return [
        pytest.param(case, id=f"{number}-{case['expected']['tier']}")
        for number, case in enumerate(cases)
        if case["expected"]["tier"] in tiers
    ]


def write_case(case, extra=b""):
    """Write a case as bytes, with the body its framing fields announce when they are plain."""
    line = " ".join(part for part in (case["method"], case["uri"], case["version"]) if part)
    fields = [(field["name"], str(field["value"])) for field in case["headers"] or []]
    names = {name.lower(): value for name, value in fields}
    text = f"{line}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields)
    if "host" not in names:
        text += "Host: gateway.test\r\n"
    length = names.get("content-length", "").strip()
    body = b"x" * int(length) if length.isascii() and length.isdigit() and len(length) < 8 else b""
    if names.get("transfer-encoding", "").strip().lower() == "chunked":
        body = b"0\r\n\r\n"
    charset = "latin-1" if max(text) <= "\xff" else "utf-8"
    return text.encode(charset) + extra + b"\r\n" + body


async def ended(caller):
    """Read what is left and tell whether the gateway closes the connection."""
    while await caller.read_some():
        pass
    return True


@pytest.mark.parametrize("case", load_vectors("Severe", "Ambiguous"))
async def test_ambiguous_request(gateway, call, upstream, case):
    """P15: a severe or ambiguous case is refused, or the upstream sees one request, one framing."""
    caller = await call(gateway)

    response = await caller.send(write_case(case, AUTHORIZATION))

    assert [] == upstream.malformed
    if response.status in REFUSED or response.status == 0:
        assert [] == upstream.requests
        assert response.closed or await ended(caller)
    else:
        assert ["one"] == ["one" for _ in upstream.requests]
        assert all(seen.complete for seen in upstream.requests)


@pytest.mark.parametrize("case", load_vectors("Severe", "Ambiguous"))
async def test_ambiguous_request_without_credentials(gateway, call, provider, upstream, case):
    """P15: without credentials no case reaches the provider or the upstream."""
    caller = await call(gateway)

    response = await caller.send(write_case(case))

    assert response.status in REFUSED or response.status == 0
    assert ([], []) == (upstream.requests, provider.token_calls)


@pytest.mark.parametrize("case", load_vectors("Compliant"))
async def test_compliant_request(gateway, call, upstream, case):
    """P15: a compliant case reaches the upstream as one request, or is refused for its target."""
    caller = await call(gateway)

    response = await caller.send(write_case(case, AUTHORIZATION))

    expected = [case["uri"].encode()] if response.status == 200 else []
    assert response.status in {200, 400, 405}
    assert expected == [seen.target for seen in upstream.requests]
