"""The paper's findings as hypotheses: ``workflow/config/claims.yaml``, read strictly.

A claim compares groups of a study's cells, which it names by the values of their axes. It states groups, rules,
endpoint, margin and looks before the runs are made. The project's configuration does not change them. ``outcomes``
judges claims by a study's results.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lrsms.base.strict import Frozen, digest, parse
from lrsms.base.yamlfile import read_yaml
from lrsms.statistics import looks
from lrsms.study.bounds import Name
from lrsms.study.config_files import named
from lrsms.study.run import Task

FILE = "claims.yaml"
DEFAULTS = "defaults"
"""The entry at the head of the file, with defaults for all claims."""
Rule = Literal["parity", "degradation", "improvement", "trend", "onset", "sooner", "fewer_parameters", "faster"]
OF_RATES: tuple[Rule, ...] = ("parity", "degradation", "improvement", "trend", "onset")
"""Rules that compare word error rates on an endpoint."""
OF_RUNS: tuple[Rule, ...] = (*OF_RATES, "sooner")
"""Rules that need trained runs and looks; other rules count parameters or measure step times."""
Value = tuple[str, ...] | dict[str, float] | str | int | float | None
SMALLER, BY_TARGET = "smaller", "by_target"
Selection = dict[str, Value]
"""Dotted fields and their values: ``lowrank: null`` is a dense model, ``smaller`` a number below the preset's, and
``by_target`` a ratio for each target, whatever they are."""
Groups = Annotated[Selection, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]


class Part(Frozen):
    """A comparison of two groups of cells, and the rules that judge it."""

    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    group: Groups
    """The cells that the finding is about."""
    against: Groups | Literal["baseline"] = "baseline"
    """The cells compared with them: each one's dense baseline, or the cells equal in all fields that neither names."""


class Claim(Part):
    """One entry of ``claims.yaml``; it holds if all of its rules do."""

    finding: str
    """The finding, in the paper's words as far as they are known; our own controls say that they are ours."""
    study: Name
    also: tuple[Part, ...] = ()
    """Further comparisons that must hold as well."""
    decoder: Name
    """The decoder whose hypotheses are compared."""
    conditions: Names | dict[Task, Names]
    """Test conditions whose edits are summed, or a mapping by task; with ``decoder``, the endpoint of the verdict."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """A fraction of the baseline's word error rate: the loss that parity allows, and the least gain that counts."""
    least: Annotated[float, Field(ge=0, lt=100)] = 0.3
    """The least margin, in points, however low the baseline's word error rate."""
    looks: Annotated[tuple[int, ...], Field(min_length=1)] = looks.LOOKS
    """Numbers of seeds at which there may be a verdict."""
    family: str | None = None
    """A field: the claim holds if it holds for *some* of its values, each with a cell in ``group``."""
    dose: Literal["halvings", "parameters"] = "halvings"
    """The dose for rule trend: log2 of 1 / ratio, or the share of the model's parameters that is removed."""
    onset: Annotated[float, Field(gt=0, lt=1)] | None = None
    """For rule onset: the ratio at which degradation must already be shown."""
    times_fewer: Annotated[float, Field(gt=1)] | None = None
    speedup: Annotated[dict[Task, Annotated[float, Field(gt=1)]], Field(min_length=1)] | None = None
    """The least speed-up, by task; for a task that is not named, nothing is claimed."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """All comparisons; the claim's own comes first."""
        return Part(rules=self.rules, group=self.group, against=self.against), *self.also

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """The rules of all parts."""
        return tuple(rule for part in self.parts for rule in part.rules)

    @property
    def digest(self) -> str:
        """Digest of all that the claim states; a verdict belongs to exactly this."""
        return digest(self.model_dump(mode="json", exclude_none=True), 8)

    def conditions_of(self, task: Task) -> tuple[str, ...]:
        """The conditions of a task; none where the claim says nothing about it."""
        return self.conditions.get(task, ()) if isinstance(self.conditions, dict) else self.conditions

    @model_validator(mode="after")
    def _rules_have_their_thresholds(self) -> Self:
        needs: dict[str, Rule] = {"times_fewer": "fewer_parameters", "speedup": "faster", "onset": "onset"}
        for field, rule in needs.items():
            if (getattr(self, field) is not None) != (rule in self.all_rules):
                raise ValueError(f"'{field}' is needed by, and only by, rule {rule}")
        for part in self.parts:
            if part.against != "baseline" and {"faster", "onset"} & set(part.rules):
                raise ValueError("rules faster and onset need against: baseline, beside which they are measured")
            if len(set(part.rules)) < len(part.rules):
                raise ValueError(f"'rules' names one twice: {', '.join(part.rules)}")
        if self.family is not None and (self.also or set(self.rules) - {"parity", "degradation", "improvement"}):
            raise ValueError("'family' is for a single comparison by parity, degradation or improvement")
        looks.plan(self.looks)  # it checks the looks
        return self


def load(path: Path) -> dict[str, Claim]:
    """All claims by id, in the order of the file, with the file's ``defaults`` for what they leave open.

    Raises:
        ValueError: one line: the file or an entry is malformed, or there is no such study beside it.
    """
    content = read_yaml(path)
    defaults: dict[str, Any] = content.pop(DEFAULTS, None) or {}
    if unknown := set(defaults) - {"decoder", "conditions", "margin", "least", "looks"}:
        raise ValueError(
            f"{path}: {DEFAULTS}: unknown key '{min(unknown)}'; known: decoder, conditions, margin, least, looks"
        )
    claims = {
        name: parse(Claim, {**defaults, **entry} if isinstance(entry, dict) else entry, f"{path}: {name}")
        for name, entry in content.items()
    }
    for name, claim in claims.items():
        try:
            named(path.parent / "studies", claim.study, "study")
        except ValueError as error:
            raise ValueError(f"{path}: {name}: {error}") from None
    return claims


def claims_of(claims: Mapping[str, Claim], study: str, task: str) -> dict[str, Claim]:
    """The claims over a study that say something about the task."""
    return {
        name: claim
        for name, claim in claims.items()
        if claim.study == study
        and (claim.speedup is None or task in claim.speedup)
        and (not isinstance(claim.conditions, dict) or task in claim.conditions)
    }
