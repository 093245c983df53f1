"""What the demo prints: where everything is, and lines to paste into another terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from gateway.demo.identity import PASSWORD, SERVICE, SERVICE_SECRET, USERNAME

if TYPE_CHECKING:
    from rich.console import Console

    from gateway.demo.places import Places


def curl_lines(places: Places) -> tuple[tuple[str, str], ...]:
    """Return what each line shows, and the line."""
    gateway = places.url("gateway")
    form = f"-d 'username={USERNAME}' -d 'password={PASSWORD}' -d 'colour=blue'"
    return (
        (
            "a user name and a password in, a Bearer token at the upstream",
            f"curl -u {USERNAME}:{PASSWORD} {gateway}/anything",
        ),
        (
            "the same again: no call to the provider, cache=memory in the line below",
            f"curl -u {USERNAME}:{PASSWORD} {gateway}/anything",
        ),
        (
            "a client's own id and secret: the client credentials grant",
            f"curl -u {SERVICE}:{SERVICE_SECRET} {gateway}/anything",
        ),
        (
            "credentials in a form: the upstream sees the colour alone",
            f"curl {form} {gateway}/anything",
        ),
        (
            "a wrong password: 401 and a challenge",
            f"curl -i -u {USERNAME}:wrong {gateway}/anything",
        ),
        (
            "no credentials: the same challenge, nobody is asked",
            f"curl -i {gateway}/anything",
        ),
    )


def print_instructions(console: Console, places: Places) -> None:
    """Print what runs where and the lines to try; a line to paste is never wrapped or styled."""
    console.print()
    for name, url in (
        ("gateway", places.url("gateway")),
        ("admin", f"{places.url('admin')}/readyz"),
        ("provider", f"{places.url('provider')}/.well-known/openid-configuration"),
        ("upstream", f"{places.url('upstream')}/anything"),
    ):
        _write(console, Text.assemble((f"{name:<10}", "bold"), url))
    for number, (meaning, line) in enumerate(curl_lines(places), 1):
        console.print()
        _write(console, Text.assemble((f"{number}. ", "bold"), (meaning, "cyan")))
        _write(console, Text(f"   {line}"))
    console.print()
    _write(console, Text("The gateway's log follows.  Ctrl-C stops everything."))
    console.print()


def _write(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True, highlight=False)
