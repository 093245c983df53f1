"""The credential firewall: how many refused logins reach the provider, and how close together.

Rule: only a login about to be sent to the provider is ever held up; a cached principal passes by.
"""

from __future__ import annotations

from gateway.authentication.attempts.decision import (
    Allow,
    AttemptLimits,
    Counts,
    Decision,
    Refuse,
    Wait,
    decide,
    network_of,
    one_spelling,
)
from gateway.authentication.attempts.limiter import PATIENCE, AttemptsLimiter
from gateway.authentication.attempts.turns import SharedTurns, Turns

__all__ = [
    "PATIENCE",
    "Allow",
    "AttemptLimits",
    "AttemptsLimiter",
    "Counts",
    "Decision",
    "Refuse",
    "SharedTurns",
    "Turns",
    "Wait",
    "decide",
    "network_of",
    "one_spelling",
]
