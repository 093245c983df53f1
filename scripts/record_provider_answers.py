#!/usr/bin/env python3
"""Ask a running provider each question a gateway may cause and print its answers as Markdown.

    scripts/record_provider_answers.py keycloak --issuer http://127.0.0.1:8180/realms/example-realm
    scripts/record_provider_answers.py nanoidp --issuer http://127.0.0.1:9001
    scripts/record_provider_answers.py oidc-provider --issuer http://127.0.0.1:9002

docs/providers.md holds what it printed; `python -m tests.peers` starts the two smaller providers.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import sys
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

GATEWAY = ("kong", "kong-secret")
SERVICE = ("service", "service-secret")
JOHN = {"username": "john", "password": "doe"}
QUIET_HEADERS = {"content-length", "date", "connection", "keep-alive", "server", "vary"}
QUIET_HEADERS |= {"referrer-policy", "strict-transport-security", "x-content-type-options"}
QUIET_HEADERS |= {"x-frame-options", "x-robots-tag"}
SECRETS = ("access_token", "refresh_token", "id_token", "session_state")


@dataclass(frozen=True)
class Case:
    """One token request and how its client authenticates."""

    name: str
    form: dict[str, str]
    basic: tuple[str, str] | None = None
    token_shown: bool = False


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)

    def document(self) -> Any:
        """Return the JSON value of the body, or None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def password(**changes: str) -> dict[str, str]:
    """Return the form of a password grant (RFC 6749 §4.3.2) with these members changed."""
    return {"grant_type": "password", **JOHN, **changes}


def person(name: str, secret: str | None = None) -> dict[str, str]:
    """Return the form of a password grant for another user."""
    return password(username=name, password=name if secret is None else secret)


MACHINE = {"grant_type": "client_credentials"}
COMMON = (
    Case("password", password(scope="openid"), GATEWAY, token_shown=True),
    Case("password, no `scope`", password(), GATEWAY),
    Case("client_credentials", MACHINE, SERVICE, token_shown=True),
    Case("wrong password", password(password="bad"), GATEWAY),  # noqa: S106 - meant to be wrong
    Case("unknown user", person("nobody"), GATEWAY),
    Case("no `password` parameter", {"grant_type": "password", "username": "john"}, GATEWAY),
    Case("empty password", person("john", ""), GATEWAY),
    Case("the gateway's own secret is wrong", password(), ("kong", "bad")),
    Case("the gateway's own client is unknown", password(), ("nobody", "bad")),
    Case("client_credentials, wrong secret", MACHINE, ("service", "bad")),
    Case("client_credentials, unknown client", MACHINE, ("nobody", "bad")),
    Case("client_credentials, a user's pair", MACHINE, ("john", "doe")),
    Case("client_credentials with `scope=openid`", MACHINE | {"scope": "openid"}, SERVICE),
    Case("no client authentication", password()),
    Case("password for a client without that grant", password(), SERVICE),
    Case("unknown scope", password(scope="openid no-such-scope"), GATEWAY),
    Case("unknown `grant_type`", {"grant_type": "urn:example:unknown"}, GATEWAY),
    Case("no `grant_type`", {}, GATEWAY),
)
EXTRA = {
    "keycloak": (
        Case("disabled user", person("disabled"), GATEWAY),
        Case("user with a required action", person("mustchange"), GATEWAY),
        Case("user without e-mail and names", person("incomplete"), GATEWAY),
        Case("name and password outside ASCII", person("jürgen", "p:ä ß%+&"), GATEWAY),
        Case(
            "client_credentials for a client without a service account",
            MACHINE,
            ("no-service-account", "no-service-account-secret"),
        ),
        Case("disabled client", MACHINE, ("disabled-client", "disabled-client-secret")),
        Case(
            "`client_secret_post`",
            MACHINE | {"client_id": "kong-post", "client_secret": "kong-post-secret"},
        ),
        Case("public client", password(client_id="public")),
        Case("id and secret that need percent-encoding", MACHINE, ("service:1", "s%:+& é")),
        Case("ES256, `at+jwt`", password(), ("kong-es256", "kong-secret"), token_shown=True),
    ),
    "nanoidp": (
        Case(
            "`client_secret_post`",
            MACHINE | {"client_id": "kong-post", "client_secret": "kong-post-secret"},
        ),
        Case("Basic for a `client_secret_post` client", MACHINE, ("kong-post", "kong-post-secret")),
        Case("name and password outside ASCII", person("jürgen", "p:ä ß%+&"), GATEWAY),
    ),
    "oidc-provider": (
        Case(
            "`client_secret_post`",
            MACHINE | {"client_id": "kong-post", "client_secret": "kong-post-secret"},
        ),
        Case("ES256", password(), ("kong-es256", "kong-secret"), token_shown=True),
        Case("name and password outside ASCII", person("jürgen", "p:ä ß%+&"), GATEWAY),
    ),
}


def ask(url: str, case: Case | None = None) -> Answer:
    """GET the URL, or POST the case's form to it."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    try:
        if case is None:
            connection.request("GET", where.path)
        else:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            if case.basic is not None:  # form-encoded before base64, RFC 6749 §2.3.1
                pair = ":".join(quote_plus(part) for part in case.basic)
                headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
            connection.request("POST", where.path, urlencode(case.form), headers)
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


def code(text: object) -> str:
    """Return the text as inline code that cannot break a table."""
    plain = str(text).replace("|", "\\|").replace("\n", " ")
    return f"`{plain}`" if plain else ""


def fields(answer: Answer) -> list[str]:
    """Return the header fields worth telling, as inline code."""
    return [
        code(f"{name}: {value}")
        for name, value in answer.headers
        if name.lower() not in QUIET_HEADERS
    ]


def row(case: Case, answer: Answer, usual: set[str]) -> str:
    """Return one table row: the case, what was answered and the unusual header fields."""
    document = answer.document()
    members = document if isinstance(document, dict) else {}
    if "access_token" in members:
        told = (
            code(name if name in SECRETS else f"{name}={value}")
            for name, value in sorted(members.items())
        )
        cells = ["", " ".join(told)]
    elif members:
        cells = [code(members.get("error", "")), code(members.get("error_description", ""))]
    else:
        cells = ["", code(answer.body[:80].decode(errors="replace")) or "(empty body)"]
    unusual = "<br>".join(told for told in fields(answer) if told not in usual)
    return f"| {case.name} | {answer.status} | {' | '.join(cells)} | {unusual} |"


def print_answers(answered: list[tuple[Case, Answer]]) -> None:
    """Print the table of answers, and the header fields that all of them carry once above it."""
    usual = set.intersection(*(set(fields(answer)) for _, answer in answered))
    print(f"Fields of every answer: {', '.join(sorted(usual))}\n")
    print("| case | status | `error` | `error_description`, or the members given | other fields |")
    print("| --- | --- | --- | --- | --- |")
    for case, answer in answered:
        print(row(case, answer, usual))


def decoded(token: str) -> list[str]:
    """Return header and claims of a JWT as JSON text, unverified; nothing for an opaque token."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - RFC 7515 §3.1
        return ["(opaque)"]
    return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode() for part in parts[:2]]


def print_tokens(answered: list[tuple[Case, Answer]]) -> None:
    """Print header and claims of the access tokens worth showing."""
    print("\nAccess tokens, header and claims:\n")
    for case, answer in answered:
        if case.token_shown:
            print(f"- {case.name}:")
            for part in decoded(answer.document()["access_token"]):
                print(f"  {code(part)}")


def print_keys(answer: Answer) -> None:
    """Print what the key set is made of, without the keys."""
    print("\nKey set:\n\n| `kty` | `use` | `alg` | other members |\n| --- | --- | --- | --- |")
    for key in answer.document()["keys"]:
        named = [code(key.get(name, "")) for name in ("kty", "use", "alg")]
        others = sorted(set(key) - {"kty", "use", "alg"})
        print(f"| {' | '.join(named)} | {' '.join(code(name) for name in others)} |")
    print("\nHeader fields of the key set: ", end="")
    cacheability = ("cache-control", "expires", "etag", "content-type")
    print(", ".join(code(f"{n}: {v}") for n, v in answer.headers if n.lower() in cacheability))


def print_metadata(metadata: dict[str, Any]) -> None:
    """Print the metadata members a gateway reads (RFC 8414 §2)."""
    print("\nMetadata:\n")
    wanted = ("token_endpoint", "jwks_uri", "grant_types_supported")
    for name in (*wanted, "token_endpoint_auth_methods_supported"):
        print(f"- {code(name)}: {code(json.dumps(metadata.get(name)))}")


def main() -> int:
    """Record one provider."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("provider", choices=sorted(EXTRA))
    parser.add_argument("--issuer", required=True, help="issuer identifier, http only")
    asked = parser.parse_args()
    metadata = ask(f"{asked.issuer.rstrip('/')}/.well-known/openid-configuration").document()
    answered = [
        (case, ask(metadata["token_endpoint"], case)) for case in (*COMMON, *EXTRA[asked.provider])
    ]
    print_answers(answered)
    print_keys(ask(metadata["jwks_uri"]))
    print_metadata(metadata)
    print_tokens(answered)
    return 0


if __name__ == "__main__":
    sys.exit(main())
