"""Which figures a study has: known from its runs and conditions before anything is trained, and quick to import."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lrsms.record.run_files import losses_path
from lrsms.study.decoding import Condition, Decoding
from lrsms.study.expand import Experiment
from lrsms.study.fields import without

KINDS = ("pdf", "png", "svg", "rst")
"""Endings of a figure's files; ``rst`` is its caption."""
REFERENCE_INIT, REFERENCE_MAPPING = "spectral", "uniform"
"""The initialisation and the rank mapping with which others are compared."""
_MAPPING = ("lowrank.mapping", "lowrank.slope", "lowrank.ratios")


def figure_names(experiments: Sequence[Experiment], decoding: Decoding, losses: bool = False) -> list[str]:
    """The names of the study's figures, in the order of a report.

    A study that trains nothing has step times only; what has one level, or no low rank, is compared with nothing.

    Args:
        experiments: the study's runs.
        decoding: decoders and conditions.
        losses: whether any run has them (see ``have_losses``).
    """
    experiments = [experiment for experiment in experiments if not experiment.tuning]
    runs = [experiment.run for experiment in experiments]
    lowrank = [run.lowrank for run in runs if run.lowrank is not None]
    trained = any(experiment.trained for experiment in experiments)
    asked = {
        "wer_by_ratio": trained and bool(lowrank),
        "loss_by_ratio": trained and bool(lowrank) and losses,
        "wer_by_parameters": trained,
        "wer_by_steptime": trained,
        "change_by_init": trained and _compares(experiments, ("lowrank.init",), REFERENCE_INIT, "init"),
        "change_by_mapping": trained and _compares(experiments, _MAPPING, REFERENCE_MAPPING, "mapping"),
        "wer_by_snr": trained and bool(noise_curves(shown_conditions(decoding))),
        "ranks_by_depth": trained and any(one.mapping != REFERENCE_MAPPING for one in lowrank),
        "spectra": trained,
        "stable_ranks": trained,
        "loss_by_step": trained,
        "valid_wer_by_step": trained,
        "time_to_learn": trained,
        "steptime": any(experiment.run != experiment.baseline for experiment in experiments),
    }
    return [name for name, wanted in asked.items() if wanted]


def have_losses(experiments: Iterable[Experiment], decoding: Decoding, records: Path, pending: bool = False) -> bool:
    """Whether any run has losses, which early records lack.

    Args:
        experiments: the study's runs.
        decoding: decoders and conditions.
        records: folder of the runs' records.
        pending: whether a run that is not recorded yet counts, since it will have them.
    """
    scores = [records / one.name / decoding.scores for one in experiments if one.trained and one.stage == "compared"]
    return any(losses_path(path).is_file() or (pending and not path.is_file()) for path in scores)


def shown_conditions(decoding: Decoding) -> dict[str, Condition]:
    """Those of the test split; all of them if none is."""
    test = {name: condition for name, condition in decoding.conditions.items() if condition.split == "test"}
    return test or dict(decoding.conditions)


def noise_curves(conditions: Mapping[str, Condition]) -> dict[str, list[tuple[float | None, str]]]:
    """Conditions that differ in the signal-to-noise ratio only, by what they share in words.

    Returns:
        For each kind of noise the ratios in dB and the names of the conditions, rising; last the one without noise,
        whose ratio is None, where there is one. Two levels or more.
    """
    curves: dict[tuple[str, str | None, str], list[tuple[float | None, str]]] = defaultdict(list)
    for name, condition in conditions.items():
        if condition.noise is not None:
            curves[condition.noise, condition.without, condition.split].append((condition.snr, name))
    found = {}
    for (noise, absent, split), levels in curves.items():
        rising = sorted(levels, key=lambda level: level[0] or 0)
        clean = [
            (None, name)
            for name, one in conditions.items()
            if one.noise is None and (one.without, one.split) == (absent, split)
        ]
        if len(rising) + len(clean) > 1:
            found[f"{noise} noise{f', without {absent}' if absent else ''}"] = [*rising, *clean[:1]]
    return found


def _compares(experiments: Sequence[Experiment], fields: Sequence[str], reference: str, name: str) -> bool:
    """Whether two runs differ in these fields of ``lowrank``, or nuisance fields, only; and one has the reference."""
    levels: dict[str, set[str]] = defaultdict(set)
    for one in experiments:
        if one.run.lowrank is not None:
            level = getattr(one.run.lowrank, name)
            levels[without(one.run, (*fields, *one.nuisance))].add(reference if level == reference else "another")
    return any(len(found) > 1 for found in levels.values())
