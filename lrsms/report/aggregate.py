"""Collects the records of a study's runs into two tables, from which tables, figures and verdicts are made.

``runs.csv`` has a row per run, decoder and condition; ``speakers.csv`` a row per run, decoder, condition and unit of
resampling. Only the study's own records are read, by name; other records in the folder are ignored.
"""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrsms.base.csvfile import unguard, write_csv
from lrsms.record import leftout
from lrsms.record.curve import halfway_and_end
from lrsms.record.metric import Metric
from lrsms.record.metrics import METRICS, WORDS
from lrsms.record.metrics import metric_of as metric_of_unit
from lrsms.record.score import COUNTS
from lrsms.report import comparable, factored, further, learning, nuisance, pairs, remarks, sums
from lrsms.report.courses import describe_courses
from lrsms.report.paired import Key
from lrsms.report.steptimes import CEILING, read_counts, read_steptime
from lrsms.report.utterances import Utterances
from lrsms.report.validity import among
from lrsms.report.validity.record import Record
from lrsms.report.validity.record import read as read_record
from lrsms.statistics.survival import Time
from lrsms.study.decoding import Decoding
from lrsms.study.expand import Experiment
from lrsms.study.fields import as_text, without
from lrsms.study.run import Run

_NAMES = ["run", "cell", "baseline", "seed", "status", "diverged_at"]
_PLANNED = ["parameters", "parameters_dense", "factorised", "factorised_dense"]
_COST = [*_PLANNED, "macs_per_second", "peak_memory_mb", "device"]
_COURSE = ["valid_wer_halfway", "valid_wer_end"]
"""WER on validation, as a fraction, half-way through training and at its end. They show whether training converged."""
_TESTED = ["decoder", "condition", "split", "utterances", "speakers", "unit", *COUNTS]
_STEP = ["step_ms", "baseline_ms", "speedup", "speedup_low", "speedup_high", "steptime_device"]
FIXED = [*_NAMES, *factored.COLUMNS, *_COST, *_COURSE, *_TESTED, *_STEP]
"""Columns of every ``runs.csv``; the others are the further fields that the study varies."""
METRIC, LEFT_OUT, CHOSEN, CORPUS = "metric", "left_out", "length_bonus", "test_corpus"
OPTIONAL = [METRIC, LEFT_OUT, CHOSEN, CORPUS, *CEILING]
"""Columns that only some ``runs.csv`` have: where error rates do not count words, where something of the corpus is left
out, where decoders have a list of length bonuses (the bonus that a run was decoded with), where conditions name a
corpus, or where step time files have a ceiling."""
SPEAKERS = ["run", "decoder", "condition", "unit", "speaker", "utterances", "words", "edits"]
"""Columns of ``speakers.csv``; ``speaker`` is an utterance's id where ``unit`` is utterance."""

_INTEGERS = ["seed", "diverged_at", *_PLANNED, "utterances", "speakers", "edits", *COUNTS]
_NUMBERS = [
    *("numerator", "denominator"),
    *_COURSE,
    CHOSEN,
    *CEILING,
    "macs_per_second",
    "peak_memory_mb",
    "step_ms",
    "baseline_ms",
    "speedup",
    "speedup_low",
    "speedup_high",
]
_SHOWN_AS = {f"lowrank.{field}" for field in ("targets", "ratio", "mapping", "slope", "ratios", "init")}
"""Fields that have columns of their own."""


def aggregate(
    experiments: Sequence[Experiment], records: Path, steptimes: Path, decoding: Decoding, folder: Path
) -> None:
    """Writes ``runs.csv``, ``speakers.csv``, ``metrics.csv``, ``pairs.csv`` and ``learning.csv`` of a study.

    See ``further``, ``pairs`` and ``learning``.

    It warns if the data of the runs are unusual, and writes this to ``remarks.txt`` for the notes of the table.

    A run without a record, or not yet decoded in this way, has rows with the status ``missing`` and no numbers. If the
    study names nuisance fields, the rows are those of the values chosen on the valid split, and ``nuisance.csv`` lists
    every value. Runs that only choose have no rows. If the study trains nothing, a run has one row without a decoder,
    with the content of its step time file.

    Args:
        experiments: the study's runs, in its order.
        records: folder of the runs' records.
        steptimes: folder of the step time measurements.
        decoding: decoders and conditions that the table shows.
        folder: folder for the files; made if absent.

    Raises:
        ValueError: one line: a record is malformed, belongs to another configuration, was decoded on other utterances,
            or belongs to a run that was resumed wrongly (see ``lrsms.record.resumed``); or records have different data.
    """
    about_data = comparable.compare([one for one in experiments if not one.open], records, decoding.scores)
    baselines = _baselines(experiments)
    steps = {name: read_steptime(steptimes / f"{name}.json") for name in dict.fromkeys(e.steptime for e in experiments)}
    keys = _keys(decoding)
    rows: list[dict[str, Any]] = []
    edits: dict[str, dict[Key, npt.NDArray[np.int64]]] = {}
    times: dict[str, Time] = {}
    others = among.Among(records)
    utterances: Utterances | None = None
    collected = further.Further()
    for experiment in experiments:
        name = experiment.name
        described = _describe(experiment, baselines.get(name, "")) | steps[experiment.steptime]
        if not experiment.trained:
            rows.append(described | read_counts(steptimes / f"{experiment.steptime}.json"))
            continue
        record = None if experiment.open else read_record(records / name, experiment.run, decoding)
        if record is None:
            rows += [described | _tested(decoding, key) | {"status": "missing"} for key in keys]
            continue
        numbers, scores = _numbers(record), record.scores
        bonuses = {decoder: choice.chosen for decoder, choice in record.choices.items()}
        others.add(name, experiment.run, record)
        if record.curve is not None:
            times[name] = learning.time_of(record.curve, experiment.run.train.steps)
        if numbers["status"] != "finished":
            rows += [described | _tested(decoding, key) | numbers for key in keys]
            continue
        utterances = utterances or Utterances(name, scores)
        counts = utterances.counts(name, scores, records)
        collected.add(name, record, utterances)
        edits[name] = {key: utterances.edits(key, counts) for key in keys}
        chosen = {key: {CHOSEN: bonuses[key[0]]} if key[0] in bonuses else {} for key in keys}
        rows += [
            described | _tested(decoding, key) | numbers | utterances.summed(key, counts) | chosen[key] for key in keys
        ]
    runs = _table(rows, experiments)
    speakers = utterances.by_unit(edits) if utterances else pd.DataFrame(columns=SPEAKERS)
    candidates, runs = nuisance.judged(experiments, runs, decoding)
    speakers = speakers[speakers["run"].isin(runs["run"])]
    nuisance.write(candidates, decoding, folder)
    _remark(others.warnings(), about_data, describe_courses(experiments, steptimes), folder)
    _write(runs, folder / "runs.csv")
    _write(speakers, folder / "speakers.csv", SPEAKERS)
    collected.write(folder, runs["run"])
    pairs.write(runs, records, decoding, folder)
    learning.write({run: times[run] for run in runs["run"].unique() if run in times}, folder)
    written = ("runs.csv", "speakers.csv", further.FILE, pairs.FILE, nuisance.FILE, remarks.FILE, learning.FILE)
    sums.write(folder, written)


def _remark(too_alike: Sequence[str], about_data: Sequence[str], courses: Sequence[str], folder: Path) -> None:
    """Warns of unusual records of a study, and keeps the warnings for the notes of its table."""
    for remark in (*too_alike, *about_data):
        warnings.warn(remark, stacklevel=3)
    remarks.write([*(f"Warning: {line}" for line in too_alike), *about_data, *courses], folder)


def _table(rows: Sequence[dict[str, Any]], experiments: Sequence[Experiment]) -> pd.DataFrame:
    """The rows of ``runs.csv`` with its columns."""
    axes = [field for field in (experiments[0].axes if experiments else {}) if _has_column(experiments[0], field)]
    optional = [column for column in OPTIONAL if any(row.get(column) not in (None, "") for row in rows)]
    described = [*_NAMES, *factored.COLUMNS, *axes]
    return pd.DataFrame(rows, columns=[*described, *_COST, *_COURSE, *_TESTED, *_STEP, *optional])


def read_runs(folder: Path) -> pd.DataFrame:
    """``runs.csv`` with integers as ``Int64``, an empty text as "", an empty number as missing."""
    return _read(folder / "runs.csv", FIXED)


def read_speakers(folder: Path) -> pd.DataFrame:
    """``speakers.csv``, read in the same way."""
    return _read(folder / "speakers.csv", SPEAKERS)


def read_further(folder: Path) -> pd.DataFrame:
    """``metrics.csv``, read in the same way; no rows if there is no file."""
    path = folder / further.FILE
    return _read(path, further.COLUMNS) if path.is_file() else pd.DataFrame(columns=further.COLUMNS)


def axes_of(runs: pd.DataFrame) -> list[str]:
    """The columns of ``runs.csv`` that are further fields which the study varies."""
    return [column for column in runs.columns if column not in FIXED and column not in OPTIONAL]


def metric_of(runs: pd.DataFrame) -> Metric:
    """The error rate of a ``runs.csv``."""
    found = [name for name in runs[METRIC].unique() if name] if METRIC in runs else []
    return METRICS.get(found[0].lower(), WORDS) if found else WORDS


def left_out(runs: pd.DataFrame) -> list[str]:
    """Sentences about the part of the corpus that no row of a ``runs.csv`` contains."""
    return leftout.summarise(runs.drop_duplicates("run")[LEFT_OUT]) if LEFT_OUT in runs else []


def _keys(decoding: Decoding) -> list[Key]:
    return [(decoder, condition) for condition in decoding.conditions for decoder in decoding.decoders]


def _tested(decoding: Decoding, key: Key) -> dict[str, Any]:
    corpus, split = decoding.test_set_of(key[1])
    return {"decoder": key[0], "condition": key[1], "split": split, CORPUS: corpus}


def _baselines(experiments: Sequence[Experiment]) -> dict[str, str]:
    """Maps each run to the label of the dense cell that it is compared with; the dense baseline itself has none.

    It is the dense model with the same other settings if the study has it, else the study's dense baseline.
    """
    dense = {_dense_settings(e.run, e.nuisance): e.cell for e in experiments if e.run.lowrank is None}
    result = {}
    for experiment in experiments:
        preset = dense.get(_dense_settings(experiment.baseline, experiment.nuisance), "")
        own = dense.get(_dense_settings(experiment.run, experiment.nuisance), preset)
        chosen = preset if experiment.run.lowrank is None else own
        if chosen != experiment.cell:
            result[experiment.name] = chosen
    return result


def _dense_settings(run: Run, nuisance_fields: Iterable[str]) -> str:
    return without(run, ("lowrank", *nuisance_fields))


def _has_column(experiment: Experiment, field: str) -> bool:
    """Whether an axis has a column of its own name."""
    return field not in _SHOWN_AS or field in experiment.nuisance


def _describe(experiment: Experiment, baseline: str) -> dict[str, Any]:
    run = experiment.run
    row = {"run": experiment.name, "cell": experiment.cell, "baseline": baseline, "seed": run.seed}
    row |= {field: as_text(value) for field, value in experiment.axes.items() if _has_column(experiment, field)}
    row |= dict.fromkeys(experiment.nuisance, nuisance.UNDECIDED) if experiment.open else {}
    if (metric := metric_of_unit(run.corpus.unit)) != WORDS:
        row[METRIC] = metric.short
    return row | factored.Factored.of(run.lowrank).columns()


def _numbers(record: Record) -> dict[str, Any]:
    """Status, size, cost and course of training of a run, and what its corpus left out, from its record."""
    outcome = record.outcome
    row = {key: record.plan[key] for key in _PLANNED}
    row |= {key: outcome[key] for key in ("status", "macs_per_second", "peak_memory_mb", "device")}
    parts = [leftout.describe(outcome.get("left_out"))]
    for one in {each.corpus: each for each in record.tested.values()}.values():
        parts += [f"of {one.corpus}, {said}" for said in [leftout.describe(one.left_out)] if said]
    row[LEFT_OUT] = "; ".join(filter(None, parts))
    if record.curve is not None:
        row |= dict(zip(_COURSE, halfway_and_end(record.curve), strict=True))
    return row | ({"diverged_at": outcome["diverged_at"]} if outcome["status"] == "diverged" else {})


def _write(table: pd.DataFrame, path: Path, columns: list[str] | None = None) -> None:
    integers = {column: "Int64" for column in _INTEGERS if column in table.columns}
    write_csv(path, table.astype(integers), columns)


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    if not path.is_file():
        raise ValueError(f"{path}: is not there; run the study first")
    kinds = dict.fromkeys(_INTEGERS, "Int64") | dict.fromkeys(_NUMBERS, "float64")
    sums.check(path.parent)
    try:
        header = pd.read_csv(path, nrows=0).columns
        kinds = {column: kinds.get(column, "str") for column in header}
        numbers = {column: [""] for column, kind in kinds.items() if kind != "str"}
        table = unguard(pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values=numbers))
    except (OSError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: not readable ({str(error).splitlines()[0]}); delete it to aggregate again") from None
    absent = [column for column in columns if column not in table.columns]
    if absent:
        raise ValueError(f"{path}: column '{absent[0]}' is missing; delete it to aggregate again")
    return table
