from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.settings.environments import GOOD, problems, said, written

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        pytest.param("department=sales", (("department", ("sales",)),), id="one"),
        pytest.param(
            "department=sales|hr, level=~[1-3]",
            (("department", ("sales", "hr")), ("level", ("~[1-3]",))),
            id="several",
        ),
        pytest.param("act", (("act", ()),), id="presence"),
        pytest.param("a=1,a=2", (("a", ("1",)), ("a", ("2",))), id="one-claim-twice"),
        pytest.param("a = b = c | d ", (("a", ("b = c", "d")),), id="first-equals-sign-splits"),
        pytest.param("realm_access.roles=x", (("realm_access.roles", ("x",)),), id="path"),
    ],
)
def test_rules_in_one_line(text: str, rules: object) -> None:
    """A line of the environment holds rules between commas and values between bars."""
    settings = said({"CLAIMS_REQUIRED": text, "CLAIMS_FORBIDDEN": text})
    assert (rules, rules) == (settings.claims_required, settings.claims_forbidden)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        pytest.param("department: sales", (("department", ("sales",)),), id="value"),
        pytest.param(
            "department: [sales, 'R&D, labs|old']",
            (("department", ("sales", "R&D, labs|old")),),
            id="values-with-commas-and-bars",
        ),
        pytest.param("email_verified: true", (("email_verified", ("true",)),), id="boolean"),
        pytest.param("act:", (("act", ()),), id="presence"),
        pytest.param("act: []", (("act", ()),), id="presence-as-empty-list"),
    ],
)
def test_rules_as_a_mapping(tmp_path: Path, text: str, rules: object) -> None:
    """The file holds rules as a mapping from claims to values."""
    file = written(tmp_path, f"claims_required: {{{text}}}\n")
    assert rules == said({}, file).claims_required


def test_rules_as_a_list(tmp_path: Path) -> None:
    """The file holds rules as a list as well, each as in the environment."""
    file = written(tmp_path, "claims_forbidden: [act, acr=0]\n")
    assert (("act", ()), ("acr", ("0",))) == said({}, file).claims_forbidden


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "{department: {sales: yes}}",
            "claims_required (line 1): write one value or a list of values",
            id="deeper",
        ),
        pytest.param(
            "{claims_required: {a: b}}",
            "claims_required (line 1): write one value or a list of values",
            id="deeper-by-its-own-name",
        ),
        pytest.param(
            "{a: 1, a: 2}", "claims_required (line 1): a is there twice; remove one", id="twice"
        ),
        pytest.param(
            "{a: ['']}",
            "claims_required (line 1): a value of a claim is empty; leave out the = if any value "
            "will do",
            id="empty-value",
        ),
    ],
)
def test_rules_that_cannot_be_read(tmp_path: Path, text: str, problem: str) -> None:
    """A rule that cannot be read stops the start; none is left out unseen."""
    file = written(tmp_path, f"claims_required: {text}\n")
    assert (problem,) == problems({**GOOD}, file)
