"""A run's record: the small files of a finished run that are kept for ever; all tables and figures are made from them.

A record holds::

    config.json            the run
    plan.json              every matrix, its role and its rank
    run.json               how training ended
    spectra.json           singular values of the trained matrices; a diverged run has none
    curve.csv              losses and validation at the snapshots
    scores-<digest>.csv.gz errors of every utterance, for one way of decoding
    scores-<digest>.loss.csv.gz losses of every utterance, which no decoder is part of
    scores-<digest>.times.json  how long that decoding took
    scores-<digest>.bonus.json  which length bonus it chose on the valid split, where it had a list of them
    scores-<digest>.worst.json  the words of the utterances with most errors
    scores-<digest>.seal.json   SHA-256 of all these files and of the hypotheses: they belong together
    scores-<digest>.tests.json  the test sets of conditions that name a corpus of their own

The last is only there where there are such conditions. Old records, from before the five above it or the spectra were
kept, lack those files. They are complete all the same: what these files would say is unknown.
"""

from pathlib import Path
from typing import Any

import pandas

from lrsms.base.files import read_json, write_atomically
from lrsms.base.strict import parse
from lrsms.record import hypotheses, seal
from lrsms.record.bonus import bonus_path
from lrsms.record.curve import read_curve, training_curve, write_curve
from lrsms.record.decoding_times import times_path
from lrsms.record.resumed import refuse_wrongly_resumed
from lrsms.record.run_files import CONFIG, CURVE, METRICS, OUTCOME, PLAN, SPECTRA, TIMINGS, losses_path
from lrsms.record.score import scored, table_bytes
from lrsms.record.tested import tests_path
from lrsms.record.worst import worst_path, write_worst
from lrsms.study.run import Run

PARTS = (CONFIG, PLAN, OUTCOME)
OPTIONAL_PARTS = (SPECTRA, CURVE)
_REMEDY = "delete it and run again"
_SPECTRA_KEYS = ("energy", "indices", "matrices")


def load_run(folder: Path) -> Run:
    """The run of ``<folder>/config.json``.

    Raises:
        ValueError: it is missing, malformed, or its content does not hash to the folder's name.
    """
    path = folder / CONFIG
    if not path.exists():
        raise ValueError(f"{path}: is not there; give the folder of a run, such as results/runs/NAME")
    run = parse(Run, read_json(path, _REMEDY), str(path))
    if not folder.resolve().name.endswith(f"-{run.digest}"):
        raise ValueError(
            f"{path}: was edited, or comes from another version of lrsms: its content hashes to {run.digest}, "
            "not to the folder's name; undo the edit, or delete the folder"
        )
    return run


def load_outcome(folder: Path) -> dict[str, Any]:
    """The content of ``<folder>/run.json``: how training ended.

    Raises:
        ValueError: training has not ended, or the file is malformed.
    """
    path = folder / OUTCOME
    outcome = read_json(path, _REMEDY)
    for key in ("status", "data_hash", "manifest_hash"):
        if not isinstance(outcome.get(key), str):
            raise ValueError(f"{path}: '{key}' is missing; delete it and run again")
    return outcome


def load_spectra(record: Path) -> dict[str, Any] | None:
    """The content of ``<record>/spectra.json`` (see ``spectra.spectra``); None where there is none.

    Raises:
        ValueError: the file is malformed.
    """
    path = record / SPECTRA
    if not path.is_file():
        return None
    content = read_json(path, "restore it, or delete it to do without")
    for key in _SPECTRA_KEYS:
        if key not in content:
            raise ValueError(f"{path}: '{key}' is missing; restore it, or delete it to do without")
    return content


def load_curve(record: Path) -> pandas.DataFrame | None:
    """The content of ``<record>/curve.csv`` (see ``curve.training_curve``); None where there is none.

    Raises:
        ValueError: the file is malformed.
    """
    path = record / CURVE
    return read_curve(path) if path.is_file() else None


def parts_of(scores: Path) -> dict[str, Path]:
    """The files of a record that belong to one of its score tables, by name; some may be absent."""
    record = scores.parent
    beside = (of(scores) for of in (times_path, bonus_path, losses_path, tests_path, worst_path))
    paths = [*(record / name for name in (*PARTS, *OPTIONAL_PARTS)), *beside, scores]
    return {path.name: path for path in paths}


def write_record(folder: Path, decoded: Path, scores: Path) -> None:
    """Writes a run's record: the scores of its hypotheses, its curve, and copies of its config, plan, outcome and
    spectra.

    Args:
        folder: the run's folder.
        decoded: the hypotheses that ``decode`` wrote.
        scores: the score table to write, in the record's folder; it is written last, because a run that has it is done.

    Raises:
        ValueError: the run's config, outcome or logs, or the hypotheses, were changed after they were written, or the
            run was resumed wrongly.
    """
    run, trained = load_run(folder), load_outcome(folder)
    refuse_wrongly_resumed(run, trained, folder, "delete it to train again")
    rows = hypotheses.read(decoded, folder, trained)
    record = scores.parent
    outcome = record / OUTCOME
    if outcome.is_file() and outcome.read_bytes() != (folder / OUTCOME).read_bytes():
        for others in [*record.glob("scores-*"), *(record / name for name in OPTIONAL_PARTS)]:
            others.unlink(missing_ok=True)  # of weights that were trained another time
    for name in PARTS:
        write_atomically(record / name, (folder / name).read_bytes())
    if (folder / SPECTRA).is_file():
        write_atomically(record / SPECTRA, (folder / SPECTRA).read_bytes())
    metrics, timings = folder / METRICS, folder / TIMINGS
    if metrics.is_file() and timings.is_file() and trained.get("steps") != 0:  # no steps have no course
        write_curve(record / CURVE, training_curve(metrics, timings))
    for beside in (times_path, bonus_path, losses_path, tests_path):
        if beside(decoded).is_file():
            write_atomically(beside(scores), beside(decoded).read_bytes())
    aligned = scored(rows, run.corpus.unit)
    table = table_bytes(aligned)
    write_worst(worst_path(scores), rows, aligned)
    hashes = {name: seal.hash_of(path) for name, path in parts_of(scores).items()}
    seal.write(scores, hashes | {scores.name: seal.hash_bytes(table), decoded.name: seal.hash_of(decoded)})
    write_atomically(scores, table)
