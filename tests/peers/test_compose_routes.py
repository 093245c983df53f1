"""config/compose.yaml does what its comments say, with Keycloak and httpbin."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .wire import basic

if TYPE_CHECKING:
    from collections.abc import Callable

    from .keycloak import Keycloak
    from .running_gateway import Gateway

pytestmark = pytest.mark.peer("keycloak")

FILE = Path(__file__).parents[2] / "config" / "compose.yaml"
LINE = re.compile(r"^# +curl (.*?) +# (\d{3})", re.MULTILINE)
REFUSED = {("anna:anna", "/anything/jobs"): 401, ("john:doe", "/anything/admin"): 403}


def ask(gateway: Gateway, line: str) -> int:
    """Return the status that a `curl` line gets."""
    *options, url = shlex.split(line)
    said = dict(zip(options[::2], options[1::2], strict=True))
    name, _, password = said.get("-u", "").partition(":")
    body = said.get("-d")
    return gateway.get(
        url.partition(":8000")[2],
        basic(name, password) if name else {},
        method="GET" if body is None else "POST",
        body=None if body is None else body.encode(),
    ).status


def test_every_line_is_answered_as_it_says(
    start_gateway: Callable[..., Gateway], keycloak: Keycloak
) -> None:
    """Each `curl` of the file gets the status behind it, and who is named as refused is."""
    gateway = start_gateway("--config", str(FILE), ISSUER=keycloak.issuer)
    lines = LINE.findall(FILE.read_text("utf-8"))

    answered = [ask(gateway, line) for line, _ in lines]
    refused = {
        (pair, target): gateway.get(target, basic(*pair.split(":"))).status
        for pair, target in REFUSED
    }

    assert len(lines) == 7
    assert [int(status) for _, status in lines] == answered
    assert refused == REFUSED
