"""A provider that exchanges tokens (RFC 8693), as strict about it as Keycloak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.answers import Answer, refusal
from tests.fakes.asked_provider import AskedProvider

if TYPE_CHECKING:
    from tests.fakes.token_request import TokenCall

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class ExchangingProvider(AskedProvider):
    """Exchanges any token it has issued; ``refused`` are subjects for whom it does not.

    ``exchanged_claims`` are put over those of the tokens it gives for others.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.opaque = False
        self.opaque_exchanged = False
        self.refused: dict[str, str] = {}
        self.exchanged_claims: dict[str, Any] = {}
        self.exchanged_members: dict[str, Any] = {}
        self.exchange_answers: list[Answer] = []

    @property
    def exchanges(self) -> list[TokenCall]:
        """The token requests that were exchanges."""
        return [call for call in self.token_calls if call.grant_type == GRANT]

    def _answer_for(self, call: TokenCall) -> Answer:
        if call.grant_type != GRANT or not self.authenticates(call):
            return super()._answer_for(call)
        if self.exchange_answers:
            return self.exchange_answers.pop(0)
        known = self.issued.get(call.form.get("subject_token", ""))
        if known is None or call.form.get("subject_token_type") != ACCESS_TOKEN:
            return refusal(400, "invalid_request", "Invalid token")
        error = self.refused.get(known["sub"])
        return (
            Answer() if error is None else refusal(400, error, "Requested audience not available")
        )

    def _grant(self, call: TokenCall) -> dict[str, Any]:
        if call.grant_type != GRANT:
            return super()._grant(call)
        known = self.issued.get(call.form.get("subject_token", ""), {"sub": "nobody"})
        before, self.opaque = self.opaque, self.opaque_exchanged
        token = self.mint(
            known["sub"],
            call.client_id,
            call.form.get("scope", ""),
            **{"aud": call.form.get("audience", "api"), **self.exchanged_claims},
        )
        self.opaque = before
        return {
            "access_token": token,
            "issued_token_type": call.form.get("requested_token_type", ACCESS_TOKEN),
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            **self.exchanged_members,
        }
