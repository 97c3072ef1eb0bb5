"""Says which figures a study has, from its runs and conditions, before anything is trained. Imports quickly."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lrsms.record.run_files import losses_path
from lrsms.study.decoding import Condition, Decoding
from lrsms.study.expand import Experiment
from lrsms.study.fields import without
from lrsms.study.method import Method
from lrsms.study.run import Run

KINDS = ("pdf", "png", "svg", "rst")
"""Endings of a figure's files; ``rst`` is its caption."""
REFERENCE_INIT, REFERENCE_MAPPING = "spectral", "uniform"
"""The initialisation and the rank mapping with which others are compared."""
_MAPPING = ("lowrank.mapping", "lowrank.slope", "lowrank.ratios")


def figure_names(experiments: Sequence[Experiment], decoding: Decoding, losses: bool = False) -> list[str]:
    """The names of the study's figures, in the order of a report.

    A study that trains nothing has only step times. A comparison needs two levels and low rank.

    Args:
        experiments: the study's runs.
        decoding: decoders and conditions.
        losses: whether any run has them (see ``have_losses``).
    """
    experiments = [experiment for experiment in experiments if not experiment.tuning]
    runs = [experiment.run for experiment in experiments]
    lowrank = [run.lowrank for run in runs if run.lowrank is not None]
    on_axis = any(not isinstance(one.ratio, dict) for one in lowrank)
    trained = any(experiment.trained for experiment in experiments)
    asked = {
        "wer_by_ratio": trained and on_axis,
        "loss_by_ratio": trained and on_axis and losses,
        "wer_by_parameters": trained,
        "wer_by_steptime": trained,
        "wer_by_cost": trained and len({_way(run) for run in runs}) > 1,
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
    """The conditions of the test split, or all conditions if none is of it."""
    test = {name: condition for name, condition in decoding.conditions.items() if condition.split == "test"}
    return test or dict(decoding.conditions)


def noise_curves(conditions: Mapping[str, Condition]) -> dict[str, list[tuple[float | None, str]]]:
    """Groups conditions that differ only in the signal-to-noise ratio, with the rest in words.

    Returns:
        For each kind of noise, two or more pairs of ratio in dB and name of condition, rising. The condition without
        noise, if there is one, comes last, with ratio None.
    """
    curves: dict[tuple[str, str | None, str, str | None], list[tuple[float | None, str]]] = defaultdict(list)
    for name, condition in conditions.items():
        if condition.noise is not None:
            key = condition.noise, condition.without, condition.split, condition.corpus
            curves[key].append((condition.snr, name))
    found = {}
    for (noise, absent, split, corpus), levels in curves.items():
        rising = sorted(levels, key=lambda level: level[0] or 0)
        clean = [
            (None, name)
            for name, one in conditions.items()
            if one.noise is None and (one.without, one.split, one.corpus) == (absent, split, corpus)
        ]
        if len(rising) + len(clean) > 1:
            told = f"{noise} noise{f' on {corpus}' if corpus else ''}{f', without {absent}' if absent else ''}"
            found[told] = [*rising, *clean[:1]]
    return found


def _way(run: Run) -> tuple[type[Method], str | None]:
    """Method and optimizer by which a run is trained: where these vary, costs other than parameters matter as much."""
    return type(run.method), run.train.optimizer


def _compares(experiments: Sequence[Experiment], fields: Sequence[str], reference: str, name: str) -> bool:
    """Whether two runs of one ratio differ only in these fields of ``lowrank``, or in nuisance fields, and one has the
    reference value."""
    levels: dict[str, set[str]] = defaultdict(set)
    for one in experiments:
        if one.run.lowrank is not None and not isinstance(one.run.lowrank.ratio, dict):
            level = getattr(one.run.lowrank, name)
            levels[without(one.run, (*fields, *one.nuisance))].add(reference if level == reference else "another")
    return any(len(found) > 1 for found in levels.values())
