"""A study: one question, asked as axes over a preset, expanded into the runs that answer it."""

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from lrsms.base.hints import did_you_mean
from lrsms.base.strict import Frozen, digest, parse
from lrsms.base.yamlfile import parse_yaml, read_yaml
from lrsms.study.config_files import load_corpus, load_preset, named, read_preset
from lrsms.study.fields import as_text, describe, difference, overlay, short_name, value_of, without
from lrsms.study.more_seeds import with_more_seeds
from lrsms.study.nuisance import check_fields, check_seeds
from lrsms.study.project import Project
from lrsms.study.run import Run
from lrsms.study.testsets import check_test_corpora
from lrsms.study.tuning import Stage, Tune, multiples, staged

CONFIG_FOLDER = Path("workflow/config")
MOST_RUNS = 10_000
"""Most runs of a study: Snakemake needs seconds for a thousand jobs."""
SETTINGS = ("scale", "task", "corpus")
"""Settings of the whole study, which cannot be axes: the cells of a table share their test set."""
Grids = Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]


class Study(Frozen):
    """``workflow/config/studies/<study>.yaml``."""

    question: str
    grids: Grids
    """Each maps a dotted field, or several joined by commas, to its values; the study is the union of the grids."""
    presets: dict[str, Grids] = Field(default_factory=dict)
    """Further grids over one preset only, ``<scale>-<task>``: for what depends on its dimensions."""
    nuisance: tuple[str, ...] = ()
    """Axes whose best value on the valid split is chosen for each cell, before cells are compared."""
    tune: Tune | None = None
    """Choose it with seeds of their own, and train the other seeds at the chosen value only; None: train them all."""
    training: bool = True
    """False: nothing is trained; training steps are timed, and parameters and multiply-adds are counted."""


@dataclass(frozen=True)
class Experiment:
    """A run and its place in a study.

    Attributes:
        run: what is trained.
        baseline: the study's dense baseline (the preset itself); the step time is measured against it.
        cell: what the run varies from the baseline, the seed and nuisance fields left out; runs of one cell differ in
            these only.
        axes: the fields that this study varies and their values in this run, the seed left out.
        nuisance: the axes whose best value is chosen for each cell.
        trained: whether the study trains the run; otherwise it only times the training step.
        stage: what the run is for; other than ``compared`` only in a study that tunes.
    """

    run: Run
    baseline: Run
    cell: str
    axes: dict[str, Any]
    nuisance: dict[str, Any] = dataclasses.field(default_factory=dict)
    trained: bool = True
    stage: Stage = "compared"

    @property
    def tuning(self) -> bool:
        """Whether the run only helps to choose the value of the nuisance fields; it is in no comparison."""
        return self.stage in ("tuning", "extension")

    @property
    def open(self) -> bool:
        """Whether that value is not chosen yet: the run stands for one to come, and is never trained."""
        return self.stage == "open"

    @property
    def label(self) -> str:
        """The cell, at which value of its nuisance fields; and, where it is not compared, what the run is for."""
        if self.open:
            return f"{self.cell} (best {', '.join(map(short_name, self.nuisance))})"
        at = " ".join([self.cell, *(f"{short_name(name)}={as_text(value)}" for name, value in self.nuisance.items())])
        return f"{at} (tuning)" if self.tuning else at

    @cached_property
    def digest(self) -> str:
        """The run's digest, computed once."""
        return self.run.digest

    @cached_property
    def name(self) -> str:
        """``<scale>-<task>-<corpus>-<what varies>-<digest>``: the run's folder, the same in every study."""
        run = self.run
        varies = describe(difference(self.baseline, run)) if self.nuisance else self.cell
        return f"{run.scale}-{run.task}-{run.corpus.name}-{file_name(varies)}-s{run.seed}-{self.digest}"

    @cached_property
    def steptime(self) -> str:
        """Name of the measurement of this run's training step and the reference's; runs of the same shape share it."""
        pair = {"run": step_shape(self.run), "baseline": step_shape(self.reference)}
        return f"{self.run.scale}-{self.run.task}-{digest(pair, 10)}"

    @cached_property
    def reference(self) -> Run:
        """The run that is timed beside this one: the baseline, with steps of the same size and precision.

        It keeps its own optimizer: what another one costs or saves is part of the run's speed-up.
        """
        own = {name: getattr(self.baseline.train, name) for name in (*_TIMELESS_TRAIN, *_OPTIMIZER)}
        return self.baseline.model_copy(update={"train": self.run.train.model_copy(update=own)})


_TIMELESS_TRAIN = {
    *("steps", "epochs", "lr", "betas", "weight_decay", "warmup", "clip", "ctc_weight", "label_smoothing"),
    *("snapshots", "average", "augment", "noise", "modality_dropout"),
}
"""Fields of training that do not change the time of a step on random data."""
_OPTIMIZER = ("optimizer", "optimizer_options")
_TIMELESS: dict[str, Any] = {
    **dict.fromkeys(("scale", "corpus", "seed", "init_from"), True),
    "tokenizer": {"sha256"},
    "model": {"initialiser"},
    "lowrank": {"init", "cut_by"},
    "train": _TIMELESS_TRAIN,
}


def step_shape(run: Run) -> dict[str, Any]:
    """The fields on which the time of a training step may depend: all except those known to have no effect."""
    return run.model_dump(exclude=_TIMELESS)


def load(project: Project, folder: Path = CONFIG_FOLDER) -> list[Experiment]:
    """Expands the project's study into experiments, in the order of the study file; each run occurs once.

    Raises:
        ValueError: one line that names the file, the key or the value that is wrong, and what would be right.
    """
    path, study = load_study(project.study, folder)
    preset_path, preset = load_preset(f"{project.scale}-{project.task}", folder)
    base = {"scale": project.scale, "task": project.task, "corpus": load_corpus(project.corpus, folder).model_dump()}
    base |= preset
    baseline = parse(Run, base, str(preset_path))
    if baseline.lowrank is not None:
        raise ValueError(f"{preset_path}: 'lowrank' is set, but a preset is the dense baseline; move it to a study")
    _check_scales(project, folder)
    check_test_corpora(project.decoding, baseline)
    grids = {
        where: multiples(grid, study.tune, baseline, where)
        for where, grid in _numbered_grids(study, preset_path.stem, path, folder).items()
    }
    varied = list(dict.fromkeys(name for grid in grids.values() for name in _fields(grid) if name != "seed"))
    everywhere = [*study.grids, *(grid for grids in study.presets.values() for grid in grids)]
    check_fields(study, (name for grid in everywhere for name in _fields(grid)), project.decoding, project.task, path)
    experiments: dict[str, Experiment] = {}
    for where, grid in grids.items():
        for point in _points(grid, where):
            run = parse(Run, overlay(base, point, where), where)
            axes = {name: value_of(run, name) for name in varied}
            nuisance = {name: axes[name] for name in study.nuisance if name in axes}
            varies = difference(baseline, run)
            cell = describe({name: value for name, value in varies.items() if name not in nuisance})
            experiment = Experiment(run, baseline, cell, axes, nuisance, study.training)
            experiments.setdefault(experiment.digest, experiment)
            if len(experiments) > MOST_RUNS:
                raise ValueError(f"{path}: its grids make more runs than the {MOST_RUNS} that a study has at most")
    found = list(experiments.values())
    _check_names(found)
    check_seeds(found, path)
    if isinstance(project.seeds, dict):
        found = with_more_seeds(found, project.seeds, path)
    return staged(found, study.tune, project.tuned or {}, path) if study.tune is not None else found


def load_study(name: str, folder: Path = CONFIG_FOLDER) -> tuple[Path, Study]:
    """The path and content of ``studies/<name>.yaml``.

    Raises:
        ValueError: one line: there is no such study, or it is not valid.
    """
    path = named(folder / "studies", name, "study")
    return path, parse(Study, read_yaml(path), str(path))


def preset_run(name: str, settings: Sequence[str] = (), folder: Path = CONFIG_FOLDER) -> Run:
    """The run of a preset, with some corpus, and with dotted fields set as ``field=value``.

    Raises:
        ValueError: one line: there is no such preset, or a setting is malformed.
    """
    path, preset = load_preset(name, folder)
    scale, _, task = name.rpartition("-")
    point = {}
    for setting in settings:
        field, separator, value = setting.partition("=")
        if not separator:
            raise ValueError(f"--set {setting}: must be field=value, such as lowrank.ratio=0.25")
        if field in point:
            raise ValueError(f"--set {setting}: '{field}' is given twice; give it once")
        point[field] = parse_yaml(value, f"--set {setting}")
    base = {"scale": scale, "task": task, "corpus": {"kind": "manifest", "name": "none"}} | preset
    return parse(Run, overlay(base, point, "--set"), f"{path} with --set" if settings else str(path))


def file_name(text: str) -> str:
    """``text`` shortened and made safe for a file name; the digest beside it keeps names different."""
    return re.sub(r"[^A-Za-z0-9.+-]", "_", text)[:90].rstrip("-_.+")


def _numbered_grids(study: Study, preset: str, path: Path, folder: Path) -> dict[str, Mapping[str, Any]]:
    """The grids that apply to a preset, by their place in the study's file."""
    for name in study.presets:
        try:
            named(folder / "presets", name, "preset")
        except ValueError as error:
            raise ValueError(f"{path}: 'presets': {error}") from None
    if preset not in study.presets:  # a preset that is like another one has its cells too
        preset = str(read_preset(named(folder / "presets", preset, "preset")).get("like", preset))
    own = study.presets.get(preset, ())
    grids: dict[str, Mapping[str, Any]] = {f"{path}: grid {n}": grid for n, grid in enumerate(study.grids, start=1)}
    return grids | {f"{path}: presets.{preset} grid {n}": grid for n, grid in enumerate(own, start=1)}


def _check_scales(project: Project, folder: Path) -> None:
    """Refuses decoders of an unknown scale, which nothing would use."""
    scales = sorted({path.stem.rpartition("-")[0] for path in (folder / "presets").glob("*-*.yaml")})
    for scale in project.decoders_of:
        if scale not in scales:
            hint = did_you_mean(scale, scales, f"known: {', '.join(scales)}")
            raise ValueError(f"'decoders_of' names '{scale}', a scale without presets in {folder / 'presets'}; {hint}")


def _points(grid: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    _refuse_overlaps(_fields(grid), where)
    for field in _fields(grid):
        if (setting := field.split(".")[0]) in SETTINGS:
            raise ValueError(
                f"{where}: '{field}' cannot be an axis: runs are compared within one {setting}; study each one alone"
                f" (--config {setting}=...)"
            )
    axes = []
    for key, values in grid.items():
        fields = [field.strip() for field in key.split(",")]
        if not isinstance(values, list) or not values:
            raise ValueError(f"{where}: '{key}' must be a list of values, got {values!r}")
        for value in values:
            if len(fields) > 1 and (not isinstance(value, list) or len(value) != len(fields)):
                raise ValueError(
                    f"{where}: '{key}' needs lists of {len(fields)} values that change together, got {value!r}"
                )
        axes.append([dict(zip(fields, value if len(fields) > 1 else [value], strict=True)) for value in values])
    if (runs := math.prod(map(len, axes))) > MOST_RUNS:
        raise ValueError(f"{where}: its axes make {runs:.4g} runs; a study has at most {MOST_RUNS}")
    return [{field: value for part in parts for field, value in part.items()} for parts in itertools.product(*axes)]


def _fields(grid: Mapping[str, Any]) -> list[str]:
    return [field.strip() for key in grid for field in key.split(",")]


def _refuse_overlaps(fields: list[str], where: str) -> None:
    """Checks that no axis silently overwrites another's values."""
    for one, other in itertools.combinations(fields, 2):
        if one == other:
            raise ValueError(f"{where}: '{one}' is given twice; give all of its values in one axis")
        outer, inner = sorted((one, other), key=len)
        if inner.startswith(f"{outer}."):
            raise ValueError(f"{where}: '{inner}' lies inside '{outer}'; put them into separate grids")


def _check_names(experiments: list[Experiment]) -> None:
    assert len({experiment.name for experiment in experiments}) == len(experiments), "two runs share a name"
    contents: dict[str, str] = {}
    for experiment in experiments:
        content = without(experiment.run, experiment.nuisance)
        if contents.setdefault(experiment.cell, content) != content:
            raise ValueError(
                f"two settings of this study would both be called '{experiment.cell}'; vary them in separate studies"
            )
