"""What ``doctor`` finds: data, so that tests and programs read it as people do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters; a failure is what callers would notice."""

    FINE = "fine"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``fix`` is what to do, empty where there is nothing to do."""

    severity: Severity
    what: str
    fix: str = ""


def fine(what: str) -> Finding:
    """Return a finding that needs nothing done."""
    return Finding(Severity.FINE, what)


def warning(what: str, fix: str) -> Finding:
    """Return a finding that will do for now."""
    return Finding(Severity.WARNING, what, fix)


def failure(what: str, fix: str) -> Finding:
    """Return a finding that callers will notice."""
    return Finding(Severity.FAILURE, what, fix)
