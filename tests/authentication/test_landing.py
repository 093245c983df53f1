"""What replicas tell each other about the end of a flight."""

from __future__ import annotations

import pytest

from gateway.authentication.landing import read_failure, write_failure
from gateway.errors import (
    GatewayError,
    InvalidCredentialsError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidCredentialsError("CANARY"), InvalidCredentialsError),
        (ProviderError("CANARY"), ProviderError),
        (ProviderTimeoutError("CANARY"), ProviderTimeoutError),
        (ProviderUnavailableError("CANARY", 7), ProviderUnavailableError),
        (GatewayError("CANARY"), ProviderUnavailableError),
    ],
)
def test_failure_is_told_by_kind(error, expected):
    """A10: followers answer as the leader does; the text of the failure stays with the leader."""
    told = write_failure(error)

    read = read_failure(told)

    assert expected is type(read)
    assert b"CANARY" not in told
    assert getattr(error, "retry_after", 1) == getattr(read, "retry_after", 1)


@pytest.mark.parametrize("told", [b"", b"\xff\xfe", b"something else", b"provider_unavailable x"])
def test_unknown_outcome_means_try_again(told):
    """An outcome of another version is an outage, not a refusal."""
    assert ProviderUnavailableError is type(read_failure(told))
