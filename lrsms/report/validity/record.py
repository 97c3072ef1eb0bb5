"""Checks one record: reads every file that is there, and compares it with the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lrsms.base.strict import parse
from lrsms.record import leftout, seal
from lrsms.record.bonus import Choice, bonus_path, load_choices
from lrsms.record.decoding_times import times_path
from lrsms.record.losses import load_losses
from lrsms.record.record import PARTS, load_curve, parts_of
from lrsms.record.resumed import refuse_wrongly_resumed
from lrsms.record.run_files import CURVE, SPECTRA, losses_path
from lrsms.record.score import read_scores
from lrsms.record.tested import ScoredOn, load_tests, refuse_incomplete
from lrsms.record.worst import Words, load_worst, worst_path
from lrsms.report.validity.course import check_absent, check_curve, check_spectra
from lrsms.report.validity.losses import check_losses
from lrsms.report.validity.outcome import check_outcome, check_plan
from lrsms.report.validity.scored import check_choices, check_scores, check_times, check_words
from lrsms.report.validity.values import read_plain, remedy_of
from lrsms.study.decoding import Decoding
from lrsms.study.run import Run


@dataclass(frozen=True)
class Record:
    """The content of a record that is whole and belongs to its run.

    Attributes:
        plan: content of ``plan.json``.
        outcome: content of ``run.json``.
        scores: the score table; a diverged run's has no rows.
        losses: losses of every utterance (see `lrsms.record.losses`); None where none were kept.
        curve: the training curve; None where there is none.
        times: how long decoding took (see `lrsms.record.decoding_times`); empty where that is unknown.
        words: words of the worst utterances (see `lrsms.record.worst`); empty where none are kept.
        vocabulary: size V.
        choices: by decoder that has a list of length bonuses, the one chosen on validation (see `lrsms.record.bonus`).
        tested: the test sets of conditions that name a corpus of their own (see `lrsms.record.tested`).
    """

    plan: dict[str, Any]
    outcome: dict[str, Any]
    scores: pd.DataFrame
    losses: pd.DataFrame | None
    curve: pd.DataFrame | None
    times: dict[str, Any]
    words: Words
    vocabulary: int
    choices: Mapping[str, Choice]
    tested: Mapping[str, ScoredOn]


def read(folder: Path, run: Run, decoding: Decoding) -> Record | None:
    """Reads and checks the record of a run; None if it has no complete record yet.

    Raises:
        ValueError: one line: a file is missing, malformed, of another run, or has impossible content.
    """
    scores_path = folder / decoding.scores
    if not scores_path.is_file():
        return None
    paths = [folder / name for name in PARTS]
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path}: is missing from the record; restore it, or delete {folder} to run it again")
    config_path, plan_path, run_path = paths
    if parse(Run, read_plain(config_path), str(config_path)) != run:
        raise ValueError(
            f"{config_path}: is not the configuration that names its folder; restore it, or delete the folder"
        )
    plan, outcome = read_plain(plan_path), read_plain(run_path)
    size = check_plan(plan_path, plan, run)
    check_outcome(run_path, outcome, run, size)
    again = f"delete {folder}, and the run's own folder in 'runs' if there is one, to train it again"
    refuse_wrongly_resumed(run, outcome, run_path, again)
    try:
        leftout.describe(outcome.get("left_out"))
    except ValueError as error:
        raise ValueError(f"{run_path}: {error}; {remedy_of(run_path)}") from None
    scores = read_scores(scores_path)
    check_scores(scores_path, scores, run, decoding, outcome["status"])
    losses = load_losses(scores_path)
    if losses is not None:
        check_losses(losses_path(scores_path), losses, scores, run, decoding)
    if (curve := load_curve(folder)) is not None:
        check_curve(folder / CURVE, curve, run, outcome)
    if outcome["status"] != "finished":
        check_absent(folder / SPECTRA)
    elif (folder / SPECTRA).is_file():
        check_spectra(folder / SPECTRA, read_plain(folder / SPECTRA), plan, run.method)
    times = {}
    if (path := times_path(scores_path)).is_file():
        times = read_plain(path)
        check_times(path, times, decoding)
    words = load_worst(scores_path)
    check_words(worst_path(scores_path), words, scores, run)
    choices: Mapping[str, Choice] = {}
    if outcome["status"] == "finished":
        choices = load_choices(scores_path, decoding)
        check_choices(bonus_path(scores_path), choices, scores, decoding)
    tested = load_tests(scores_path, decoding)
    refuse_incomplete(scores_path, tested, zip(scores["decoder"], scores["condition"], strict=True))
    seal.check(scores_path, parts_of(scores_path), remedy_of(scores_path))
    return Record(plan, outcome, scores, losses, curve, times, words, size, choices, tested)
