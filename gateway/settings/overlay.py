"""Each route with its settings: the gateway's, those of its provider over them, its own on top.

Rule: what identifies the gateway at one provider is never shown to another, so a provider of the
file takes nothing of a registration over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.routing import Reach
from gateway.routing.places import find_shadows
from gateway.settings.conflicts import read_conflicts, read_warnings, spelled
from gateway.settings.model.provider import Registration
from gateway.settings.model.routes import ProviderSettings, RouteSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gateway.settings.model import Settings

_ONCE_RENEWED = ("upstream_url", "consumers")  # for the whole gateway, and yet part of each route
DEFAULT = "default"  # the provider of ISSUER, and the route of a gateway without routes


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """One route, with all settings that hold for it; ``provider`` is its name."""

    name: str
    reach: Reach
    settings: Settings
    provider: str = DEFAULT
    strip_path: bool = False
    preserve_host: bool = False

    @property
    def public(self) -> bool:
        """Whether everybody may use it."""
        return not self.settings.auth_methods


@dataclass(frozen=True, slots=True)
class Part:
    """How a route and each setting that holds for it are spelled, and the settings found wrong.

    ``placed`` is that its hosts, paths and methods are known to be as they were meant.
    """

    label: str
    names: Mapping[str, str]
    failed: frozenset[str]
    placed: bool = True


def default_plan(settings: Settings) -> RoutePlan:
    """Return the one route of a gateway without routes."""
    return RoutePlan(DEFAULT, Reach(), settings)


def plan(settings: Settings, route: RouteSettings, provider: ProviderSettings | None) -> RoutePlan:
    """Return a route of the file."""
    said: dict[str, object] = {}
    if provider is not None:
        said |= {name: getattr(provider, name) for name in Registration.model_fields}
        said |= {name: getattr(provider, name) for name in provider.model_fields_set}
    known = type(settings).model_fields
    said |= {name: getattr(route, name) for name in route.model_fields_set if name in known}
    if route.upstream:
        said["upstream_url"] = route.upstream
    return RoutePlan(
        route.name,
        Reach(route.hosts, route.paths, route.methods),
        settings.model_copy(update=said),
        route.provider or DEFAULT,
        strip_path=route.strip_path,
        preserve_host=route.preserve_host,
    )


def needing_restart(before: Settings, after: Settings) -> list[str]:
    """Return the settings of the whole gateway that are different and cannot change in a run."""
    renewed = {*RouteSettings.model_fields, *ProviderSettings.model_fields, *_ONCE_RENEWED}
    said = before.model_fields_set | after.model_fields_set  # a default may be random
    return [
        name
        for name in type(before).model_fields
        if name not in renewed and name in said and getattr(before, name) != getattr(after, name)
    ]


def judge(plans: Sequence[RoutePlan], parts: Sequence[Part]) -> tuple[list[str], list[str]]:
    """Return the problems and the warnings of routes, each once."""
    problems: list[str] = []
    warnings: list[str] = []
    for each, part in zip(plans, parts, strict=True):
        problems += spelled(read_conflicts(each.settings), part.names, part.failed)
        warnings += spelled(read_warnings(each.settings), part.names, part.failed)
    return list(dict.fromkeys(problems)), list(dict.fromkeys(warnings))


def judge_order(plans: Sequence[RoutePlan], parts: Sequence[Part]) -> Iterator[str]:
    """Yield the names that are there twice and the routes that never get a request."""
    names: set[str] = set()
    for each, part in zip(plans, parts, strict=True):
        if each.name in names:
            yield f"{part.names['name']}: another route has this name; choose another one"
        names.add(each.name)
    # Of a route whose place is misspelt it is not known whom it keeps requests from.
    placed = [pair for pair in zip(plans, parts, strict=True) if pair[1].placed]
    for shadow in find_shadows([each.reach for each, _ in placed]):
        reach, part = placed[shadow.index][0].reach, placed[shadow.index][1]
        takers = " and ".join(placed[index][1].label for index in shadow.by)
        place = part.names["paths" if reach.paths else "hosts" if reach.hosts else "name"]
        yield (
            f"{place}: {shadow.host}{shadow.path} is never reached, because {takers} comes first "
            "and takes it; put the more specific route first"
        )
