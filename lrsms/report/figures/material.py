"""The data of figures: the aggregates of a study, and the records of its own runs only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lrsms.base.files import read_json
from lrsms.record.metric import Metric
from lrsms.record.record import load_curve, load_spectra
from lrsms.record.run_files import PLAN
from lrsms.report import aggregate, paired
from lrsms.report.cells import Cell, Estimate
from lrsms.report.figures.layout import MOST_PANELS
from lrsms.report.figures.names import figure_names, have_losses
from lrsms.report.samples import number
from lrsms.report.series import Panel, settings, usual_settings
from lrsms.report.summary import Summary, summarise
from lrsms.report.tables import short_targets
from lrsms.statistics.stats import Interval
from lrsms.study.decoding import Decoding
from lrsms.study.expand import Experiment

Content = TypeVar("Content")
NOTHING_FINISHED = "no run has finished"
_REMEDY = "delete it to make it again"


@dataclass(frozen=True)
class Drawn:
    """A figure and the sentences of its caption."""

    figure: Figure
    caption: Sequence[str]


@dataclass(frozen=True)
class Material:
    """All data of a study's figures.

    Attributes:
        summary: its cells.
        decoder: the decoder that is shown, the last one; empty if nothing is trained.
        decoding: decoders and conditions.
        edits: edits by speaker, or by utterance if speakers are unknown.
        records: folder of the runs' records.
        steptimes: for each run the file of its step time, which may be absent.
        names: names of the study's figures.
    """

    summary: Summary
    decoder: str
    decoding: Decoding
    edits: paired.Edits
    records: Path
    steptimes: Mapping[str, Path]
    names: Sequence[str]

    @cached_property
    def ratios(self) -> list[float]:
        """The ratios of all low-rank cells, rising."""
        return sorted({cell.ratio for cell in self.summary.cells if cell.ratio is not None})

    def wer(self, cell: Cell, condition: str) -> Estimate:
        """The rates in percent. Bars end at zero, since the t interval of a small rate may go below."""
        wer = cell.scores[(self.decoder, condition)].rate
        low, high = 100 * wer.interval.low, 100 * wer.interval.high
        return Estimate(100 * wer.value, Interval(float(np.maximum(0, low)), high))

    def measured(self, cell: Cell, metric: Metric, condition: str) -> Estimate | None:
        """A metric that does not depend on a decoder, in its unit; None if the cell lacks it."""
        score = cell.further.get(metric.key, {}).get(("", condition))
        if score is None:
            return None
        low, high = (metric.scale * end for end in (score.rate.interval.low, score.rate.interval.high))
        return Estimate(metric.scale * score.rate.value, Interval(low, high))

    def scored(self, cells: Iterable[Cell], condition: str) -> list[Cell]:
        """The cells that have a word error rate."""
        return [cell for cell in cells if (self.decoder, condition) in cell.scores]

    def spectra(self, cell: Cell) -> list[dict[str, Any]]:
        """``spectra.json`` of those runs of the cell that have one."""
        return _present(load_spectra(self.records / run) for run in cell.runs.values())

    def curves(self, cell: Cell) -> list[pd.DataFrame]:
        """``curve.csv`` of those runs of the cell that have one."""
        return _present(load_curve(self.records / run) for run in cell.runs.values())

    def plan(self, cell: Cell) -> list[dict[str, Any]]:
        """The matrices of ``plan.json`` of the first of the cell's runs that has one; they do not depend on the seed.

        Raises:
            ValueError: one line: the file is malformed.
        """
        for run in cell.runs.values():
            path = self.records / run / PLAN
            if path.is_file():
                plan = read_json(path, _REMEDY)
                if "matrices" not in plan:
                    raise ValueError(f"{path}: 'matrices' is missing; {_REMEDY}")
                return plan["matrices"]
        return []

    def steptime(self, cell: Cell) -> dict[str, Any] | None:
        """The content of the cell's step time file; None if it was not measured.

        Raises:
            ValueError: one line: the file is malformed.
        """
        path = self.steptimes.get(next(iter(cell.runs.values())))
        if path is None or not path.is_file():
            return None
        return read_json(path, _REMEDY)


def load(
    folder: Path,
    experiments: Sequence[Experiment],
    decoding: Decoding,
    records: Path,
    steptimes: Path,
) -> Material:
    """Reads a study's aggregates. Records are read only when they are needed.

    Args:
        folder: folder of ``runs.csv`` and ``speakers.csv``.
        experiments: the study's runs.
        decoding: decoders and conditions.
        records: folder of the runs' records.
        steptimes: folder of the step time measurements.

    Raises:
        ValueError: one line: a file is missing or malformed, or has no rows.
    """
    summary = summarise(folder)
    return Material(
        summary=summary,
        decoder=summary.decoders[-1] if summary.decoders else "",
        decoding=decoding,
        edits=paired.by_run(aggregate.read_speakers(folder)),
        records=records,
        steptimes={one.name: steptimes / f"{one.steptime}.json" for one in experiments},
        names=figure_names(experiments, decoding, have_losses(experiments, decoding, records)),
    )


def by_condition(material: Material, panels: Sequence[Panel]) -> tuple[list[tuple[Panel, str]], list[str]]:
    """Every panel under every condition; or only under the first, if these are too many, with a sentence about it."""
    conditions = material.summary.conditions
    if len(panels) * len(conditions) <= MOST_PANELS:
        return [(panel, condition) for condition in conditions for panel in panels], []
    note = f"Condition {conditions[0]} only: with the others ({', '.join(conditions[1:])}), there are too many panels."
    return [(panel, conditions[0]) for panel in panels], [note]


def title(material: Material, panel: str, condition: str) -> str:
    """The title of a panel; it names the condition only if there are several."""
    return ", ".join(text for text in (panel, condition if material.summary.conditions[1:] else "") if text)


def describe_factors(material: Material) -> list[str]:
    """The common values that the labels leave out."""
    sentences = []
    if short_targets(material.summary.cells)[1]:
        sentences.append("Targets are matrices of the encoder.")
    targets = {setting.targets for setting in settings(material.summary)}
    if len(targets) == 1:
        sentences.append(f"Factorised: {targets.pop()}.")
    if usual := usual_settings(material.summary):
        sentences.append(f"Unless a label says otherwise: {', '.join(usual)}.")
    return sentences


def describe_without_ratio(material: Material) -> list[str]:
    """A sentence on the cells that have no place on an axis of ratios."""
    names = [cell.name for cell in material.summary.cells if cell.factored.by_target]
    return [f"Not shown, because each target has its own ratio: {', '.join(names)}."] if names else []


def describe_rates(material: Material) -> list[str]:
    """Sentences on the data of error rates, on their intervals, and on missing cells."""
    return [
        *describe_factors(material),
        *material.summary.described_samples,
        *material.summary.left_out,
        *describe_absent(material.summary.cells),
    ]


def describe_seeds(cells: Sequence[Cell]) -> str:
    """A sentence on the bands over seeds."""
    counts = sorted({cell.seeds for cell in cells})
    if counts == [1]:
        return "One seed: no bands."
    return f"Lines are means over {' or '.join(map(str, counts))} seeds; bands show the whole range."


def describe_absent(cells: Iterable[Cell]) -> list[str]:
    """Says how many cells cannot be shown."""
    statuses = [cell.status for cell in cells]
    absent, diverged = statuses.count("missing"), statuses.count("diverged")
    if not absent and not diverged:
        return []
    return [f"Not shown: {number(absent, 'unfinished cell')}, {number(diverged, 'diverged cell')}."]


def _present(contents: Iterable[Content | None]) -> list[Content]:
    return [content for content in contents if content is not None]


def describe_devices(summary: Summary) -> list[str]:
    """Says where step times were measured; if on several devices, with the cells of each."""
    if not summary.devices:
        return []
    if len(summary.devices) == 1:
        return [f"Measured on: {summary.devices[0]}."]
    cells = {device: [c.name for c in summary.cells if c.steptime_device == device] for device in summary.devices}
    where = "; ".join(f"{device} ({', '.join(names)})" for device, names in cells.items())
    return [f"Measured on: {where}.", "Ratios from different devices cannot be compared."]
