"""The low rank of a run in four columns of ``runs.csv``. Only this module writes and reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lrsms.study.fields import as_text
from lrsms.study.lowrank import LowRank

COLUMNS = ["targets", "ratio", "mapping", "init"]
_AND = " + "


@dataclass(frozen=True)
class Factored:
    """The factorised matrices, and how they are factorised. Without targets the model is dense and nothing else is set.

    Attributes:
        targets: kinds of matrices.
        ratio: fraction of full rank kept; None for a dense model, and where it differs between the targets.
        by_target: the fraction of each target, where it differs; otherwise empty.
        mapping: rank mapping over depth, by its name.
        slope: slope of the linear mapping; None for others.
        ratios: ratios of the explicit mapping, by layer; empty for others.
        init: initialisation of the factors.
    """

    targets: tuple[str, ...] = ()
    ratio: float | None = None
    by_target: tuple[float, ...] = ()
    mapping: str = ""
    slope: float | None = None
    ratios: tuple[float, ...] = ()
    init: str = ""

    @classmethod
    def of(cls, lowrank: LowRank | None) -> "Factored":
        """The low rank that a run's configuration asks for."""
        if lowrank is None:
            return cls()
        shape = lowrank.mapping, lowrank.slope, tuple(lowrank.ratios or ())
        one, several = (None, lowrank.ratio) if isinstance(lowrank.ratio, dict) else (lowrank.ratio, {})
        return cls(tuple(lowrank.targets), one, tuple(several.values()), *shape, lowrank.init)

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "Factored":
        """The inverse of ``columns``; numbers are exact."""
        if not row["targets"]:
            return cls()
        mapping, *numbers = row["mapping"].split()
        slope = float(numbers[0]) if mapping == "linear" else None
        ratios = tuple(map(float, numbers)) if mapping == "explicit" else ()
        kept = tuple(map(float, str(row["ratio"]).split(_AND)))
        one, several = (kept[0], ()) if len(kept) == 1 else (None, kept)
        return cls(tuple(row["targets"].split(_AND)), one, several, mapping, slope, ratios, row["init"])

    def columns(self) -> dict[str, Any]:
        """Values of ``COLUMNS``; a dense model has none of them."""
        if not self.targets:
            return {}
        values = (joined(self.targets), self.written_ratio, self.shape, self.init)
        return dict(zip(COLUMNS, values, strict=True))

    @property
    def written_ratio(self) -> float | str | None:
        """A number, or exact numbers in the order of the targets, ``0.12 + 0.5``; None for a dense model."""
        return _AND.join(map(str, self.by_target)) or self.ratio

    @property
    def kept(self) -> str:
        """The same for readers; empty for a dense model."""
        return _AND.join(f"{ratio:g}" for ratio in self.by_target) or as_text(self.ratio)

    @property
    def shape(self) -> str:
        """The mapping with its numbers, such as ``linear +0.5``; empty for a dense model."""
        numbers = [f"{self.slope:+g}"] if self.slope is not None else []
        return " ".join([self.mapping, *numbers, *(f"{ratio:g}" for ratio in self.ratios)])

    @property
    def fields(self) -> dict[str, str]:
        """The fields of a run's configuration that this determines, and their values as text."""
        return {
            "lowrank": "low rank" if self.targets else "",
            "lowrank.targets": joined(self.targets),
            "lowrank.ratio": as_text(dict(zip(self.targets, self.by_target, strict=False)) or self.ratio),
            "lowrank.mapping": self.mapping,
            "lowrank.init": self.init,
            "lowrank.slope": as_text(self.slope),
            "lowrank.ratios": as_text(self.ratios),
        }


def joined(targets: tuple[str, ...]) -> str:
    """Targets as one text: ``encoder.attention + encoder.feedforward``."""
    return _AND.join(targets)
