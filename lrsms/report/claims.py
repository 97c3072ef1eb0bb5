"""The paper's findings as hypotheses: ``workflow/config/claims.yaml``, read strictly.

A claim compares groups of a study's cells that are named by the values of their axes. What it states (groups, rules,
margin, condition) is fixed before the runs are; ``outcomes`` says what a study's results make of it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lrsms.base.strict import Frozen, parse
from lrsms.base.yamlfile import read_yaml
from lrsms.study.expand import named
from lrsms.study.run import Name, Task

FILE = "claims.yaml"
Rule = Literal["parity", "degradation", "improvement", "fewer_parameters", "faster"]
OF_RATES: tuple[Rule, ...] = ("parity", "degradation", "improvement")
"""Rules that compare word error rates; the others count parameters or measure step times."""
Value = tuple[str, ...] | str | int | float | None
SMALLER = "smaller"
Selection = dict[str, Value]
"""Dotted fields and their values: ``lowrank: null`` is a dense model, ``smaller`` a number below the preset's."""


class Claim(Frozen):
    """One entry of ``claims.yaml``."""

    finding: str
    """In the paper's words, as far as they can be read; a control of ours says so."""
    study: Name
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    """The claim holds if all of them do."""
    group: Annotated[Selection, Field(min_length=1)]
    """Cells that the finding is about."""
    against: Annotated[Selection, Field(min_length=1)] | Literal["baseline"] = "baseline"
    """What they are compared with: the dense baseline of each, or the cells alike in all that neither names."""
    margin: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Of parity: a fraction of the baseline's word error rate."""
    times_fewer: Annotated[float, Field(gt=1)] | None = None
    speedup: Annotated[dict[Task, Annotated[float, Field(gt=1)]], Field(min_length=1)] | None = None
    """By task; of a task that is not there nothing is claimed."""
    condition: Name | None = None
    """None: the first of the test split."""

    @model_validator(mode="after")
    def _rules_have_their_thresholds(self) -> Self:
        needs = {
            "margin": ("parity", "degradation"),
            "times_fewer": ("fewer_parameters",),
            "speedup": ("faster",),
        }
        for field, rules in needs.items():
            if (getattr(self, field) is not None) != any(rule in self.rules for rule in rules):
                raise ValueError(f"'{field}' is needed by, and only by, rule {' or '.join(rules)}")
        if self.against != "baseline" and "faster" in self.rules:
            raise ValueError("rule faster needs against: baseline, beside which step times are measured")
        if self.condition is not None and not any(rule in self.rules for rule in OF_RATES):
            raise ValueError(f"'condition' is only for rules of error rates: {', '.join(OF_RATES)}")
        if len(set(self.rules)) < len(self.rules):
            raise ValueError(f"'rules' names one twice: {', '.join(self.rules)}")
        return self


def load(path: Path) -> dict[str, Claim]:
    """All claims by id, in the order of the file.

    Raises:
        ValueError: one line: the file or an entry is malformed, or there is no such study beside it.
    """
    claims = {name: parse(Claim, entry, f"{path}: {name}") for name, entry in read_yaml(path).items()}
    for name, claim in claims.items():
        try:
            named(path.parent / "studies", claim.study, "study")
        except ValueError as error:
            raise ValueError(f"{path}: {name}: {error}") from None
    return claims


def claims_of(claims: Mapping[str, Claim], study: str, task: str) -> dict[str, Claim]:
    """Those over a study that say something of the task."""
    return {
        name: claim
        for name, claim in claims.items()
        if claim.study == study and (claim.speedup is None or task in claim.speedup)
    }
