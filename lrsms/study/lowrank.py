"""Low rank as a part of a run: the matrices, their ranks, how the factors start, and the method."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lrsms.base.hints import did_you_mean
from lrsms.base.strict import Frozen, canonical_json
from lrsms.study.files_as_values import INITS, PLAIN, AnyMethod, discards_matrix, named_method, one_of
from lrsms.study.method import Method

Ratio = Annotated[float, Field(gt=0, le=1)]
"""A fraction of full rank."""
RatioByTarget = Annotated[dict[str, Ratio], Field(min_length=1, max_length=1000)]


def _kind(value: Any) -> str:
    """Which of the two forms of a ratio a value is meant to be."""
    return "by_target" if isinstance(value, dict) else "number"


class LowRank(Frozen):
    """Which matrices are factorised, their ranks, and how their factors are initialised."""

    targets: Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)] = (
        "encoder.attention",
        "encoder.feedforward",
    )
    """Roles (``encoder.attention``), groups of roles (``encoder.*``) or globs over matrix names."""
    ratio: Annotated[Ratio, Tag("number")] | Annotated[RatioByTarget, Tag("by_target")] = Field(
        discriminator=Discriminator(_kind)
    )
    """Fraction of full rank that is kept, averaged over depth: a number, or one for each target."""
    mapping: Literal["uniform", "linear", "explicit"] = "uniform"
    slope: Annotated[float, Field(gt=-1, lt=1)] | None = None
    """For the linear mapping: ratio * (1 + slope * (2l / (L-1) - 1)) at layer l of L; negative shrinks with depth."""
    ratios: Annotated[tuple[Ratio, ...], Field(min_length=1, max_length=1000)] | None = None
    """For the explicit mapping: one ratio per layer, whose average is ``ratio``."""
    init: Annotated[str, AfterValidator(one_of(INITS))] = "spectral"
    """How the factors are initialised: a file in ``lrsms/methods/inits``."""
    qkv: Literal["separate", "fused"] = "separate"
    """Whether the q, k and v of a self-attention are factorised one by one or as one concatenated matrix."""
    multiple: Annotated[int, Field(ge=2, le=1024)] | None = None
    """Ranks are multiples of this (8 suits tensor cores)."""
    method: Annotated[AnyMethod | None, Field(discriminator="name"), BeforeValidator(named_method)] = None
    """What becomes of the matrices in training: the name of a file in ``lrsms/methods/variants``, and the parameters
    that it has; None: plain low rank."""
    cut_by: Literal["outputs"] | None = None
    """Says what the factors of a trained matrix, that of ``init_from`` or of method ``truncated``, are near to. None:
    the matrix, by the truncated SVD. ``outputs``: its outputs on training speech (``training.cut``)."""

    @property
    def acting_method(self) -> Method:
        """The method, plain low rank included."""
        return self.method or PLAIN

    def ratio_of(self, target: str) -> float:
        """Fraction of full rank that is kept of the matrices of one of the targets."""
        return self.ratio[target] if isinstance(self.ratio, dict) else self.ratio

    def __hash__(self) -> int:
        """A mapping has none of its own."""
        return hash(canonical_json(self))

    def refuse_start(self) -> None:
        """Refuses to begin from trained weights (``init_from``) where the factors would have nothing of them.

        Raises:
            ValueError: one line.
        """
        if discards_matrix(self.init):
            raise ValueError(
                f"'lowrank.init' is '{self.init}', whose factors would have nothing of the matrices of 'init_from'; use"
                " 'spectral'"
            )
        if self.acting_method.discards_matrix:
            raise ValueError(
                f"'lowrank.method' is '{self.acting_method}', whose factors would have nothing of the matrices of"
                " 'init_from'; use another method"
            )

    def refuse_cut(self, begins_trained: bool) -> None:
        """Refuses to cut by outputs what is not trained, or what the factors do not take over as it is.

        Args:
            begins_trained: whether the run has ``init_from``.

        Raises:
            ValueError: one line.
        """
        if self.cut_by is None or self.acting_method.cuts_trained:
            return
        if not begins_trained:
            raise ValueError(
                f"'lowrank.cut_by' is '{self.cut_by}', which is for trained matrices, those of 'init_from' or of method"
                " 'truncated'; remove it"
            )
        if self.init != "spectral" or self.method is not None:
            raise ValueError(
                f"'lowrank.cut_by' is '{self.cut_by}', whose matrices plain low rank takes over with init 'spectral'; "
                "use these, without a method"
            )

    @field_validator("ratio")
    @classmethod
    def _is_of_the_targets(cls, given: float | dict[str, float], info: ValidationInfo) -> float | dict[str, float]:
        """In the order of the targets; the same ratio for every target is the same run as that number."""
        if not isinstance(given, dict) or "targets" not in info.data:
            return given
        targets: Sequence[str] = info.data["targets"]
        for name in given:
            if name not in targets:
                hint = did_you_mean(name, targets, f"targets: {', '.join(targets)}")
                raise ValueError(f"has a value for '{name}', which is not one of 'targets'; {hint}")
        if absent := [target for target in targets if target not in given]:
            raise ValueError(f"has no value for target '{absent[0]}'; give one for each of 'targets'")
        return given[targets[0]] if len(set(given.values())) == 1 else {target: given[target] for target in targets}

    @model_validator(mode="after")
    def _fits_its_method(self) -> Self:
        self.acting_method.refuse(self)
        return self

    @model_validator(mode="after")
    def _mapping_has_its_parameters(self) -> Self:
        if (self.mapping == "linear") != (self.slope is not None):
            raise ValueError("'slope' is needed by, and only by, mapping 'linear'")
        if (self.mapping == "explicit") != (self.ratios is not None):
            raise ValueError("'ratios' is needed by, and only by, mapping 'explicit'")
        if self.ratios is not None and isinstance(self.ratio, dict):
            raise ValueError("'ratios' has the ratio of each layer for all targets, so 'ratio' must be their average")
        if self.ratios is not None and not isinstance(self.ratio, dict):
            mean = sum(self.ratios) / len(self.ratios)
            if abs(mean - self.ratio) > 1e-3:
                raise ValueError(
                    f"'ratios' average {mean:.4g} but 'ratio' is {self.ratio:.4g}; set ratio to the average"
                )
        return self
