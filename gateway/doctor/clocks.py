"""The clock here beside the provider's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.doctor.findings import failure, fine, warning

if TYPE_CHECKING:
    from gateway.doctor.findings import Finding
    from gateway.doctor.patient import Patient

UNNOTICED: Final = 2.0  # seconds that whole seconds and a slow answer may make


def compare_clocks(patient: Patient, theirs: float) -> Finding:
    """Return how far the clocks are apart when the provider's says ``theirs``."""
    skew = patient.asked.now() - theirs
    ahead = "ahead of" if skew > 0 else "behind"
    leeway = patient.settings.leeway
    text = f"the clock here is {abs(skew):.0f} seconds {ahead} the provider's"
    if abs(skew) > leeway + UNNOTICED:
        return failure(
            f"{text}, and LEEWAY is {leeway:g}",
            "Set both clocks with NTP; until then a larger LEEWAY, at most 120, lets tokens pass.",
        )
    if abs(skew) > max(leeway / 2, UNNOTICED):
        return warning(f"{text}; LEEWAY is {leeway:g}", "Set both clocks with NTP.")
    return fine("the clocks agree")
