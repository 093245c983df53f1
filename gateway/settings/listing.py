"""The routes as a table for people and as JSON for programs; no secret is in either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.settings.overlay import RoutePlan

_RULES = (
    "audience_required",
    "scopes_required",
    "roles_required",
    "groups_required",
    "claims_required",
    "claims_forbidden",
)
_HEAD = ("name", "hosts", "paths", "methods", "upstream", "provider", "callers", "rules")


def describe_routes(plans: Sequence[RoutePlan]) -> list[dict[str, Any]]:
    """Return what each route takes and asks, in the order in which they are asked."""
    return [
        {
            "name": plan.name,
            "hosts": list(plan.reach.hosts),
            "paths": list(plan.reach.paths),
            "methods": sorted(plan.reach.methods),
            "upstream": plan.settings.upstream_url,
            "strip_path": plan.strip_path,
            "preserve_host": plan.preserve_host,
            "provider": None if plan.public else plan.provider,
            "issuer": None if plan.public else plan.settings.issuer,
            "auth_methods": list(plan.settings.auth_methods),
            "rules": [] if plan.public else _rules(plan),
        }
        for plan in plans
    ]


def routes_table(plans: Sequence[RoutePlan]) -> str:
    """Return the same as lines of text, a column each."""
    rows = [_HEAD, *(_row(each) for each in describe_routes(plans))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines) + "\n"


def _row(route: dict[str, Any]) -> tuple[str, ...]:
    return (
        route["name"],
        ",".join(route["hosts"]) or "any",
        ",".join(route["paths"]) or "any",
        ",".join(route["methods"]) or "any",
        route["upstream"],
        route["provider"] or "-",
        ",".join(route["auth_methods"]) or "public",
        ",".join(route["rules"]) or "-",
    )


def _rules(plan: RoutePlan) -> list[str]:
    """Return the names of the rules that hold."""
    return [name for name in _RULES if getattr(plan.settings, name)]
