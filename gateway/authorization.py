"""Do these claims satisfy this policy: pure yes or no, asked on every request (RFC 6750 §3.1).

Rule: nothing here depends on where the claims come from, so a cached caller is judged like a new
one. A claim that is null counts as absent.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import translate
from typing import TYPE_CHECKING

from gateway.errors import AuthorizationError, InsufficientScopeError
from gateway.oauth.claims import claim_values, find_claim
from gateway.oauth.credentials import Challenge
from gateway.oauth.strict_json import is_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

PATTERN_MARK = "~"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One ``*_REQUIRED`` setting: the claim at ``path`` holds all values of one alternative."""

    name: str
    path: str
    alternatives: tuple[frozenset[str], ...]

    def nearest(self, held: frozenset[str]) -> frozenset[str]:
        """Return the alternative of which the fewest values are missing, the first of several."""
        return min(self.alternatives, key=lambda alternative: len(alternative - held))


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """The claim at ``path`` has one of these values, or fits one of the patterns.

    Without values and patterns it is enough that the claim is there.
    """

    path: str
    texts: frozenset[str] = frozenset()
    patterns: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def read(cls, path: str, alternatives: Iterable[str]) -> ClaimRule:
        """Return the rule of a setting: after ``~`` comes a glob pattern for the whole value.

        A glob and no regular expression: it matches in time that grows with the value's length.
        """
        written = tuple(alternatives)
        marked = (text[1:] for text in written if text.startswith(PATTERN_MARK))
        return cls(
            path,
            frozenset(text for text in written if not text.startswith(PATTERN_MARK)),
            tuple(re.compile(translate(pattern)) for pattern in marked),
        )

    def fits(self, claims: Mapping[str, Any]) -> bool:
        """Tell whether the claim is there and is one of the values; of a list, one member is."""
        value = find_claim(claims, self.path)
        if not self.texts and not self.patterns:
            return value is not None
        return any(
            text in self.texts or any(pattern.match(text) for pattern in self.patterns)
            for text in _texts(value)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules that must hold; none means that a known caller is enough."""

    requirements: tuple[Requirement, ...] = ()
    claims_required: tuple[ClaimRule, ...] = ()
    claims_forbidden: tuple[ClaimRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Permit:
    """The policy is satisfied."""


@dataclass(frozen=True, slots=True)
class Deny:
    """The policy is not satisfied; ``scope`` is what a caller would have to hold, if it is that."""

    reason: str
    scope: str | None = None


_PERMIT = Permit()


def decide(policy: Policy, claims: Mapping[str, Any]) -> Permit | Deny:
    """Return whether every rule of ``policy`` holds for ``claims``."""
    for requirement in policy.requirements:
        held = claim_values(find_claim(claims, requirement.path))
        if not any(alternative <= held for alternative in requirement.alternatives):
            return _lacking(requirement, held)
    for rule in policy.claims_required:
        if not rule.fits(claims):
            return Deny(f"claims_required is not satisfied by the claim {rule.path}")
    for rule in policy.claims_forbidden:
        if rule.fits(claims):
            return Deny(f"claims_forbidden forbids the claim {rule.path}")
    return _PERMIT


def denied(decision: Deny, realm: str) -> AuthorizationError:
    """Return the error that tells the caller about ``decision`` (RFC 6750 §3.1)."""
    if decision.scope is None:
        return AuthorizationError("the caller may not do this", cause=decision.reason)
    error = InsufficientScopeError("the token lacks a required scope", cause=decision.reason)
    challenge = Challenge("Bearer", realm, InsufficientScopeError.error, decision.scope)
    error.challenges = (challenge.write(),)
    return error


def _lacking(requirement: Requirement, held: frozenset[str]) -> Deny:
    reason = f"{requirement.name} is not satisfied by the claim {requirement.path}"
    if requirement.name != "scopes_required":
        return Deny(reason)
    return Deny(reason, " ".join(sorted(requirement.nearest(held))))


def _texts(value: object) -> Iterator[str]:
    """Yield the scalars of a claim as text; a string is one value, spaces and all."""
    for member in value if isinstance(value, list | tuple) else (value,):
        if isinstance(member, str):
            yield member
        elif isinstance(member, bool):
            yield "true" if member else "false"
        elif is_number(member):
            whole = isinstance(member, float) and member.is_integer()
            yield str(int(member)) if whole else json.dumps(member)
