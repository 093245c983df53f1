"""The routes put together: each with its upstream, its ways of showing who one is, its policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.app.exchange import obtain_authenticators
from gateway.app.identities import obtain_identity, reserved_names
from gateway.app.preflights import open_preflights
from gateway.app.providers import OpenProvider, joined_key_set, obtain_provider
from gateway.app.token_exchange import obtain_token_exchange
from gateway.app.upstreams import obtain_upstream
from gateway.authorization import ClaimRule, Policy, Requirement
from gateway.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.app.parts import Key, Parts
    from gateway.app.store import Store
    from gateway.authentication import Authenticator
    from gateway.provider.client import Provider
    from gateway.request import RequestHead
    from gateway.settings import RoutePlan, Settings


@dataclass(frozen=True, slots=True)
class ComposedRoutes:
    """The routes in their order, the providers behind them by name, and what they are made of."""

    routes: tuple[Route, ...]
    providers: Mapping[str, OpenProvider]
    parts: frozenset[Key]

    @property
    def known(self) -> dict[str, Provider]:
        """The providers themselves."""
        return {name: each.provider for name, each in self.providers.items()}

    @property
    def key_set(self) -> bytes:
        """The public keys of the gateway's registrations as a JWK Set."""
        return joined_key_set(self.providers.values())


async def compose_routes(
    plans: Sequence[RoutePlan],
    store: Store,
    parts: Parts,
    address_of: Callable[[RequestHead], str],
) -> ComposedRoutes:
    """Return the routes of these plans, made of parts that are open or are opened for them."""
    parts.begin()
    store.adapt(plans)
    reserved = reserved_names(plans)
    routes = []
    providers: dict[str, OpenProvider] = {}
    for plan in plans:
        authenticators: tuple[Authenticator, ...] = ()
        token_exchange = None
        if not plan.public:
            provider = await obtain_provider(plan, store, parts)
            _note(providers, plan, provider)
            authenticators = await obtain_authenticators(
                plan.settings, provider, store, parts, address_of
            )
            token_exchange = await obtain_token_exchange(plan.settings, provider, store, parts)
        routes.append(
            Route(
                plan.name,
                await obtain_upstream(plan, parts),
                authenticators,
                policy_of(plan.settings),
                plan.reach,
                strip_path=plan.strip_path,
                keeps_encoded_slashes=plan.settings.encoded_slashes == "keep",
                preflights=open_preflights(plan.settings),
                token_exchange=token_exchange,
                reserved=reserved,
                identity=await obtain_identity(plan.settings, parts),
            )
        )
    return ComposedRoutes(tuple(routes), providers, parts.used)


def _note(providers: dict[str, OpenProvider], plan: RoutePlan, provider: OpenProvider) -> None:
    """Name a provider as in the file; one that a route calls in its own way also after that."""
    if all(each.provider is not provider.provider for each in providers.values()):
        name = plan.provider
        providers[f"{name} ({plan.name})" if name in providers else name] = provider


def policy_of(settings: Settings) -> Policy:
    """Return the rules of a route."""
    pairs = (
        ("audience_required", settings.audience_claim, settings.audience_required),
        ("scopes_required", settings.scopes_claim, settings.scopes_required),
        ("roles_required", settings.roles_claim, settings.roles_required),
        ("groups_required", settings.groups_claim, settings.groups_required),
    )
    return Policy(
        tuple(Requirement(*each) for each in pairs if each[2]),
        tuple(ClaimRule.read(*each) for each in settings.claims_required),
        tuple(ClaimRule.read(*each) for each in settings.claims_forbidden),
    )
