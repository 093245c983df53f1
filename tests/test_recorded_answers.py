"""The fake provider says what the real ones said: its answers equal the recorded tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.fakes.answers import ANSWERS

RECORDED = (Path(__file__).parent.parent / "docs" / "providers.md").read_text()


def recorded(provider, case):
    """Return status, error and description the table of a provider has for a case."""
    section = re.split(r"^## ", RECORDED, flags=re.MULTILINE)
    (table,) = [each for each in section if re.match(rf"{provider} \d", each)]
    (row,) = [line for line in table.splitlines() if line.startswith(f"| {case} |")]
    status, error, description = [cell.strip(" `") for cell in row.split("|")[2:5]]
    return int(status), error, description


@pytest.mark.parametrize(
    ("name", "provider", "case"),
    [
        pytest.param(name, provider, case, id=name)
        for name, provider, case in (
            ("keycloak_wrong_password", "Keycloak", "wrong password"),
            ("keycloak_disabled_user", "Keycloak", "disabled user"),
            ("keycloak_not_set_up", "Keycloak", "user with a required action"),
            (
                "keycloak_wrong_client_secret",
                "Keycloak",
                "the gateway's own secret is wrong",
            ),
            ("keycloak_unknown_client", "Keycloak", "the gateway's own client is unknown"),
            (
                "keycloak_grant_not_allowed",
                "Keycloak",
                "password for a client without that grant",
            ),
            ("unsupported_grant_type", "Keycloak", "unknown `grant_type`"),
            ("nanoidp_wrong_password", "nanoidp", "wrong password"),
            ("nanoidp_wrong_client_secret", "nanoidp", "the gateway's own secret is wrong"),
            ("oidc_provider_wrong_password", "oidc-provider", "wrong password"),
        )
    ],
)
def test_fake_answers_are_the_recorded_ones(name, provider, case):
    """Status, error and description of the fake's answer are those of the real provider."""
    answer = ANSWERS[name]
    members = json.loads(answer.body)

    said = (answer.status, members["error"], members["error_description"])

    assert recorded(provider, case) == said
