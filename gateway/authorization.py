"""Do these claims satisfy this policy: pure yes or no, asked on every request (RFC 6750 §3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.errors import AuthorizationError, InsufficientScopeError
from gateway.oauth.claims import claim_values, find_claim

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@dataclass(frozen=True, slots=True)
class Requirement:
    """One ``*_REQUIRED`` setting: the claim at ``path`` holds all values of one alternative."""

    name: str
    path: str
    alternatives: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """All requirements that must hold; none means that a known caller is enough."""

    requirements: tuple[Requirement, ...] = ()


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
    """Return whether every requirement of ``policy`` holds for ``claims``."""
    for requirement in policy.requirements:
        held = claim_values(find_claim(claims, requirement.path))
        if not any(alternative <= held for alternative in requirement.alternatives):
            return _deny(requirement)
    return _PERMIT


def _deny(requirement: Requirement) -> Deny:
    scope = None
    if requirement.name == "scopes_required":
        scope = " ".join(sorted(requirement.alternatives[0])) if requirement.alternatives else ""
    return Deny(f"{requirement.name} is not satisfied by the claim {requirement.path}", scope)


def denied(decision: Deny) -> AuthorizationError:
    """Return the error that tells the caller about ``decision`` (RFC 6750 §3.1)."""
    if decision.scope is not None:
        return InsufficientScopeError("the token lacks a required scope")
    return AuthorizationError("the caller may not do this")
