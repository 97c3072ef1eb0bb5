"""Sentences about the data behind error rates, and about their intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from lrsms.record.metric import Metric
from lrsms.report import aggregate, paired
from lrsms.report.clusters import codes_of, how_many
from lrsms.report.paired import units_of
from lrsms.statistics import stats


@dataclass(frozen=True)
class Sample:
    """The data behind a condition's error rates.

    Attributes:
        split: split of the corpus.
        utterances: number of utterances.
        words: words of all references.
        speakers: number of speakers; None where they are unknown.
        unit: the unit that intervals resample: speaker or utterance.
        effective_units: number of units of equal length that would weigh as much.
        noun: one of the things that are counted as words.
        variants: number of variants of rendered voices, which intervals of one rate resample; None for other speech.
        corpus: corpus of the test set, where the condition names one.
    """

    split: str
    utterances: int
    words: int
    speakers: int | None
    unit: str
    effective_units: float
    noun: str = "word"
    variants: int | None = None
    corpus: str = ""

    def __str__(self) -> str:
        speakers = "unknown speakers" if self.speakers is None else number(self.speakers, "speaker")
        counts = number(self.utterances, "utterance"), number(self.words, self.noun), speakers
        return f"{', '.join(counts)} ({self.place})"

    @property
    def place(self) -> str:
        """Where the utterances are: ``test split``, or ``test split of commands_test``."""
        return f"{self.split} split{f' of {self.corpus}' if self.corpus else ''}"


def number(count: int, noun: str) -> str:
    """For example ``1,321 utterances``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def weigh_as(units: int, effective: float) -> str:
    """For example `` (weigh as 4.2 of equal length)``; nothing unless a few units hold most of the words."""
    return f" (weigh as {effective:.1f} of equal length)" if stats.few_weigh_most(units, effective) else ""


def sample_of(runs: pd.DataFrame, condition: str, edits: paired.Edits) -> Sample | None:
    """The data of a condition, from the first finished run; None if there is none."""
    part = runs[(runs["condition"] == condition) & (runs["status"] == "finished")]
    if part.empty:
        return None
    row = part.iloc[0]
    speakers = None if pd.isna(row["speakers"]) else int(row["speakers"])
    counted = units_of(edits, row["run"], (row["decoder"], condition))
    effective, variants = stats.effective_units(counted.words), how_many(codes_of(counted.names))
    size = int(row["utterances"]), int(row["words"])
    corpus = row[aggregate.CORPUS] if aggregate.CORPUS in runs else ""
    noun = aggregate.metric_of(runs).noun
    return Sample(row["split"], *size, speakers, row["unit"], effective, noun, variants, corpus)


def describe_samples(samples: Mapping[str, Sample], seeds: Iterable[int], metric: Metric) -> list[str]:
    """A few sentences on counts and intervals for each condition; conditions with the same data share them.

    Args:
        samples: the data by condition.
        seeds: numbers of seeds of the study's cells.
        metric: the study's error rate.
    """
    numbers = sorted(set(seeds))
    alike: dict[Sample, list[str]] = {}
    for condition, sample in samples.items():
        alike.setdefault(sample, []).append(condition)
    return [
        f"Condition{'s' if conditions[1:] else ''} {', '.join(conditions)}: {sample}."
        f" {_intervals(sample, numbers, metric)}"
        for sample, conditions in alike.items()
    ]


def _intervals(sample: Sample, seeds: Sequence[int], metric: Metric) -> str:
    units = number(_num_units(sample), f"{sample.split} {sample.unit}")
    units += weigh_as(_num_units(sample), sample.effective_units)
    level = f"{100 * stats.LEVEL:g}% intervals"
    resampled = units if sample.variants is None else f"the {sample.variants} voice variants of {units}"
    given = "given these models: another seed may differ by more"
    one = f"bootstrap over {resampled}, {stats.RESAMPLES:,} resamples, {given}"
    none = "a change has none, since one seed does not tell what another would change"
    if seeds == [1]:
        return f"One seed; {level} of {metric.short}: {one}; {none}."
    rates = f"of {metric.short}, Student's t over seeds, on this test set"
    changes = f"of changes, crossed random-effects model of seeds and {units} (other seeds, other {sample.unit}s)"
    known = "" if sample.unit == "speaker" else f" {_why_utterances(sample)}: utterances are the units."
    several = f"{' or '.join(map(str, seeds))} seeds; {level}: {rates}; {changes}"
    return f"{several}{f'; with one seed, of {metric.short}, {one}; {none}' if seeds[0] == 1 else ''}.{known}"


def _why_utterances(sample: Sample) -> str:
    return "Speakers are unknown" if sample.speakers is None else "There is one speaker"


def _num_units(sample: Sample) -> int:
    return sample.speakers if sample.unit == "speaker" and sample.speakers is not None else sample.utterances
