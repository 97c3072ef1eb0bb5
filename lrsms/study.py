"""A study: one question, asked as axes over a preset, expanded into the runs that answer it."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field

from lrsms import config
from lrsms.config import Corpus, Frozen, LowRank, Project, Run
from lrsms.yamlfile import read_yaml

CONFIG_FOLDER = Path("workflow/config")


class Study(Frozen):
    """``workflow/config/studies/<study>.yaml``."""

    question: str
    grids: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    """Each maps a dotted field, or several joined by commas, to its values; the study is the union of the grids."""


@dataclass(frozen=True)
class Experiment:
    """A run as a study sees it.

    Attributes:
        run: what is trained.
        baseline: the study's dense baseline (the preset itself), against which step time is measured.
        cell: what the run varies from the baseline, the seed left out; runs of one cell differ in their seed only.
        axes: the fields that this study varies and their values in this run, the seed left out.
    """

    run: Run
    baseline: Run
    cell: str
    axes: dict[str, Any]

    @cached_property
    def name(self) -> str:
        """``<scale>-<task>-<corpus>-<what varies>-<digest>``: the run's folder."""
        run = self.run
        return f"{run.scale}-{run.task}-{run.corpus.name}-{file_name(self.cell)}-s{run.seed}-{run.digest}"

    @cached_property
    def steptime(self) -> str:
        """Name of the measurement of this run's training step beside the baseline's, which runs of one shape share."""
        pair = {"run": step_shape(self.run), "baseline": step_shape(self.baseline)}
        return f"{self.run.scale}-{self.run.task}-{config.digest(pair, 10)}"


def step_shape(run: Run) -> dict[str, Any]:
    """What the time of a training step depends on: not the seed, the corpus, the schedule or the factors' values."""
    lowrank = run.lowrank.model_dump(exclude={"init"}) if run.lowrank is not None else None
    train = run.train.model_dump(include={"group_frames", "groups_per_step", "precision"})
    model = run.model.model_dump(exclude={"initialiser"})
    return {
        "task": run.task,
        "model": model,
        "lowrank": lowrank,
        "train": train,
        "tokenizer": run.tokenizer.model_dump(),
    }


def load(project: Project, folder: Path = CONFIG_FOLDER) -> list[Experiment]:
    """Expands the project's study into experiments, in the order of the study file, each run once.

    Raises:
        ValueError: one line that names the file, the key or the value that is wrong, and what would be right.
    """
    path = named(folder / "studies", project.study, "study")
    study = config.parse(Study, read_yaml(path), str(path))
    preset_path, preset = load_preset(f"{project.scale}-{project.task}", folder)
    base = {"scale": project.scale, "task": project.task, "corpus": load_corpus(project.corpus, folder).model_dump()}
    base |= preset
    baseline = config.parse(Run, base, str(preset_path))
    if baseline.lowrank is not None:
        raise ValueError(f"{preset_path}: 'lowrank' is set, but a preset is the dense baseline; move it to a study")
    experiments: dict[str, Experiment] = {}
    varied = list(dict.fromkeys(field for grid in study.grids for field in _fields(grid) if field != "seed"))
    for number, grid in enumerate(study.grids, start=1):
        where = f"{path}: grid {number}"
        for point in _points(grid, where):
            run = config.parse(Run, overlay(base, point, where), where)
            axes = {field: value_of(run, field) for field in varied}
            cell = describe(difference(baseline, run))
            experiments.setdefault(run.digest, Experiment(run, baseline, cell, axes))
    _check_names(list(experiments.values()))
    return list(experiments.values())


def load_preset(name: str, folder: Path = CONFIG_FOLDER) -> tuple[Path, dict[str, Any]]:
    """The path and content of ``presets/<scale>-<task>.yaml``: model, training and tokenizer, complete."""
    path = named(folder / "presets", name, "preset")
    preset = read_yaml(path)
    unknown = set(preset) - {"tokenizer", "model", "train", "lowrank", "seed"}
    if unknown:
        raise ValueError(f"{path}: unknown key '{min(unknown)}'; a preset has tokenizer, model, train and seed")
    return path, preset


def load_corpus(name: str, folder: Path = CONFIG_FOLDER) -> Any:
    """The corpus of ``corpora/<name>.yaml``."""
    path = named(folder / "corpora", name, "corpus")
    content = read_yaml(path)
    kinds = {model.model_fields["kind"].annotation: model for model in get_args(get_args(Corpus)[0])}
    models = {get_args(literal)[0]: model for literal, model in kinds.items()}
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in models:
        near = get_close_matches(str(kind), models, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(models)}"
        raise ValueError(f"{path}: 'kind' is {kind!r}; {hint}")
    return config.parse(models[kind], {"name": name, **content}, str(path))


def named(folder: Path, name: str, what: str) -> Path:
    """The file ``<name>.yaml`` of a folder, or a ValueError with the nearest name there is."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = sorted(p.stem for p in folder.glob("*.yaml"))
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names) or 'none'}"
        raise ValueError(f"no {what} '{name}' in {folder}; {hint}")
    return path


def overlay(base: Mapping[str, Any], point: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A copy of ``base`` with dotted fields set; a section that is off (None) is switched on by its first field."""
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in base.items()}
    for field, value in point.items():
        *sections, leaf = field.split(".")
        target = result
        for section in sections:
            inner = target.get(section)
            if inner is not None and not isinstance(inner, dict):
                raise ValueError(f"{where}: '{field}': '{section}' has no fields of its own")
            target[section] = dict(inner) if inner else {}
            target = target[section]
        target[leaf] = value
    return result


def value_of(run: Run, field: str) -> Any:
    """The value of a dotted field, None below a section that is off."""
    value: Any = run
    for part in field.split("."):
        value = getattr(value, part, None)
    return value


def difference(baseline: Run, run: Run) -> dict[str, Any]:
    """Dotted fields in which ``run`` differs from ``baseline``, in the order of the config; the seed is left out.

    None is a field or section that the run switches off.
    """
    usual = {f"lowrank.{name}": field.default for name, field in LowRank.model_fields.items() if name != "targets"}
    set_before = {
        key: value for key, value in _flatten(baseline.model_dump(exclude={"seed"})).items() if value is not None
    }
    sections_before = {key[:dot] for key in set_before for dot in range(len(key)) if key[dot] == "."}

    def differs(key: str, value: Any) -> bool:
        if value is None:
            return key in set_before or key in sections_before
        return (usual | set_before).get(key) != value

    after = _flatten(run.model_dump(exclude={"seed"}))
    return {key: value for key, value in after.items() if differs(key, value)}


def describe(varied: Mapping[str, Any]) -> str:
    """What varies in a few words, e.g. ``encoder.attention-0.25-random``; ``dense`` where nothing does."""
    words = []
    for field, value in varied.items():
        text = "+".join(map(str, value)) if isinstance(value, tuple) else "off" if value is None else str(value)
        speaks = field in ("lowrank.targets", "lowrank.ratio") or (
            field.startswith("lowrank.") and isinstance(value, str)
        )
        words.append(text if speaks else f"{field.split('.')[-1]}{text}")
    return "-".join(words) or "dense"


def file_name(text: str) -> str:
    """``text`` shortened to what is safe in a file name; the digest beside it keeps names apart."""
    return re.sub(r"[^A-Za-z0-9.+-]", "_", text)[:90].rstrip("-_.+")


def _points(grid: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    _refuse_overlaps(_fields(grid), where)
    axes = []
    for key, values in grid.items():
        fields = [field.strip() for field in key.split(",")]
        if not isinstance(values, list) or not values:
            raise ValueError(f"{where}: '{key}' must be a list of values, got {values!r}")
        for value in values:
            if len(fields) > 1 and (not isinstance(value, list) or len(value) != len(fields)):
                raise ValueError(
                    f"{where}: '{key}' needs lists of {len(fields)} values that move together, got {value!r}"
                )
        axes.append([dict(zip(fields, value if len(fields) > 1 else [value], strict=True)) for value in values])
    return [{field: value for part in parts for field, value in part.items()} for parts in itertools.product(*axes)]


def _fields(grid: Mapping[str, Any]) -> list[str]:
    return [field.strip() for key in grid for field in key.split(",")]


def _refuse_overlaps(fields: list[str], where: str) -> None:
    """One axis must not overwrite another's values in silence."""
    for one, other in itertools.combinations(fields, 2):
        if one == other:
            raise ValueError(f"{where}: '{one}' is given twice; one axis holds all of its values")
        outer, inner = sorted((one, other), key=len)
        if inner.startswith(f"{outer}."):
            raise ValueError(f"{where}: '{inner}' lies inside '{outer}'; put them into separate grids")


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _check_names(experiments: list[Experiment]) -> None:
    assert len({experiment.name for experiment in experiments}) == len(experiments), "two runs share a name"
    contents: dict[str, str] = {}
    for experiment in experiments:
        content = config.canonical_json(experiment.run.model_dump(mode="json", exclude={"seed"}))
        if contents.setdefault(experiment.cell, content) != content:
            raise ValueError(f"two settings of this study would both be called '{experiment.cell}'; vary them apart")
