"""The routes and providers of the file, judged one by one and then together."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from gateway.settings.document import PROVIDERS, Keys, Layout
from gateway.settings.model import Settings
from gateway.settings.model.provider import Registration
from gateway.settings.model.routes import ProviderSettings, RouteSettings
from gateway.settings.overlay import DEFAULT, Part, default_plan, judge_order, plan
from gateway.settings.places import read_name
from gateway.settings.sources import SECRET_FILES
from gateway.settings.validation import validated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.settings.nodes import Section
    from gateway.settings.overlay import RoutePlan
    from gateway.settings.sources import Found, Sources

_OF_ROUTES: Final = tuple(RouteSettings.model_fields)
_OF_PROVIDERS: Final = (*ProviderSettings.model_fields, "client_secret_file")
_OF_GATEWAY: Final = (*Settings.model_fields, *SECRET_FILES)
_PLACE: Final = frozenset({"hosts", "paths", "methods"})


def layout() -> Layout:
    """Return which keys each part of the file may have."""
    gateway = dict.fromkeys(_OF_GATEWAY, "it is for the whole gateway; write it above the routes")
    provider = dict.fromkeys(
        _OF_PROVIDERS, f"it is for a provider; write it under {PROVIDERS} and name that one here"
    )
    route = dict.fromkeys(_OF_ROUTES, "it is for a route; write it under routes")
    other = {
        "upstream_url": "of a route it is called upstream",
        "host": "of a route it is called hosts",
    }
    return Layout(
        Keys(_OF_GATEWAY, route),
        Keys(_OF_PROVIDERS, {**route, **gateway}),
        Keys(_OF_ROUTES, {**gateway, **provider, **other}),
    )


@dataclass(frozen=True, slots=True)
class _Provider:
    """A provider of the file, how its settings are spelled, and those that are wrong."""

    settings: ProviderSettings
    names: Mapping[str, str]
    failed: frozenset[str]


def read_routes(
    settings: Settings, sources: Sources, failed: set[str]
) -> tuple[list[RoutePlan], list[Part], list[str]]:
    """Return the routes, how their settings are spelled, and what is wrong with them.

    A file without routes gives the one of ``UPSTREAM_URL``.
    """
    problems: list[str] = []
    providers = {
        name: _read_provider(name, sources.document.providers[name], found, problems)
        for name, found in sources.providers.items()
    }
    if not sources.routes:
        whole = Part(DEFAULT, sources.top.names, frozenset(failed))
        return [default_plan(settings)], [whole], problems
    plans, parts = [], []
    for found, section in zip(sources.routes, sources.document.routes, strict=True):
        wrong = found.failed
        route, misread = validated(RouteSettings, found, wrong)
        provider = providers.get(route.provider)
        problems += [*misread, *_misnamed(route, provider, section, providers)]
        plans.append(plan(settings, route, None if provider is None else provider.settings))
        part = _part(section, found, provider, sources.top, failed | wrong)
        parts.append(replace(part, placed=_is_placed(section, wrong)))
        if route.provider and provider is None:  # nothing is known of its registration
            parts[-1] = _without(parts[-1], Registration.model_fields)
    _warn_of_unused(plans, sources)
    return plans, parts, [*problems, *judge_order(plans, parts)]


def _read_provider(name: str, section: Section, found: Found, problems: list[str]) -> _Provider:
    place = f"{section.label} (line {section.line})"
    try:
        read_name(name)
    except ValueError as exc:
        problems.append(f"{place}: {exc}")
    if name == DEFAULT:
        problems.append(f"{place}: this is the name of the provider of ISSUER; choose another one")
    failed = found.failed
    settings, misread = validated(ProviderSettings, found, failed)
    problems += misread
    spelled = {each: section.spell(each) for each in Registration.model_fields}
    return _Provider(settings, {**spelled, **found.names}, frozenset(failed))


def _misnamed(
    route: RouteSettings,
    provider: _Provider | None,
    section: Section,
    providers: Mapping[str, _Provider],
) -> Iterable[str]:
    if "name" not in section.lines:
        yield f"{section.spell('name')}: it is required, to tell the route from others"
    if route.provider and provider is None:
        close = difflib.get_close_matches(route.provider, providers, n=1)
        advice = f"; did you mean {close[0]}?" if close else f"; add it under {PROVIDERS}"
        yield f"{section.spell('provider')}: there is no such provider{advice}"


def _part(
    section: Section, found: Found, provider: _Provider | None, top: Found, failed: set[str]
) -> Part:
    names = {
        "upstream_url": section.spell("upstream"),
        **top.names,
        **({} if provider is None else provider.names),
        "name": section.spell("name"),
        **found.names,
    }
    if provider is not None:
        failed = (failed - Registration.model_fields.keys()) | provider.failed
    return Part(section.label, names, frozenset(failed))


def _without(part: Part, settings: Iterable[str]) -> Part:
    return replace(part, failed=part.failed.union(settings))


def _is_placed(section: Section, wrong: set[str]) -> bool:
    """Tell whether the place of a route can be read; a misspelt key may have been meant for it."""
    unread = wrong | (section.lines.keys() - section.values.keys())
    meant = (difflib.get_close_matches(name.lower(), _OF_ROUTES, n=1) for name in section.unknown)
    return not (_PLACE & unread or any(not each or each[0] in _PLACE for each in meant))


def _warn_of_unused(plans: Iterable[RoutePlan], sources: Sources) -> None:
    used = {each.provider for each in plans}
    sources.top.warnings += [
        f"{section.label} (line {section.line}): no route uses it"
        for name, section in sources.document.providers.items()
        if name not in used
    ]
