"""The recipes of CONTRIBUTING.md: all are applied to a copy of the repository, as they are written there, and run."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nano
import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from lrsms.base.strict import parse
from lrsms.base.yamlfile import read_yaml
from lrsms.report.figures.names import noise_curves, shown_conditions
from lrsms.study import expand
from lrsms.study.config_files import load_corpus
from lrsms.study.corpus import HeldOut
from lrsms.study.project import Project
from lrsms.study.testsets import with_test_corpora

ROOT = Path(__file__).parents[2]
SHIPPED_CONFIG = ROOT / expand.CONFIG_FOLDER
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPES = {
    title: _BLOCK.findall(text)
    for title, text in re.findall(
        r"^### (A new .+?)\n(.*?)(?=^##)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL
    )
}
CONFIGURATION, FIELD, INIT, METHOD, OPTIMIZER, METRIC, CORPUS, CONDITION, CLAIM = (
    "A new axis by configuration alone",
    "A new axis by one field",
    "A new initialisation of the factors",
    "A new method that acts in time",
    "A new optimizer",
    "A new metric",
    "A new corpus",
    "A new test condition",
    "A new claim",
)


def apply(root: Path, title: str) -> None:
    """Writes the files of a recipe into a copy of the repository and makes its changes."""
    for language, block in RECIPES[title]:
        if language == "sh":
            continue
        first, content = block.split("\n", 1)
        path = root / first.removeprefix("# ").removeprefix("at the end of ")
        if language == "diff":
            before, after = (
                "".join(line[1:] for line in content.splitlines(keepends=True) if line[0] in kept)
                for kept in (" -", " +")
            )
            text = path.read_text()
            assert text.count(before) == 1, f"{path.name} is not as the recipe says:\n{before}"
            path.write_text(text.replace(before, after))
        elif first.startswith("# at the end of "):
            path.write_text(path.read_text() + content)
        else:
            assert path.parent.is_dir() and not path.exists(), path
            path.write_text(content)


def commands(title: str) -> list[str]:
    return [line for language, block in RECIPES[title] if language == "sh" for line in block.splitlines()]


def run(root: Path, command: str) -> str:
    """Runs a shell line of a recipe in the copy, with this Python."""
    for program in ("snakemake", "lrsms"):
        command = command.replace(f".venv/bin/{program}", f".venv/bin/python -m {program}")
    command = command.replace(".venv/bin/python", f"'{sys.executable}'")
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(["bash", "-c", command], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


SHIPPED = (("lrsms", "asr", "tiny"), ("init", "asr", "paper"), ("attention", "avsr", "mini"), ("pair", "asr", "demo"))
"""Study, task and scale."""
ADDED = (
    ("qkv", "avsr", "mini"),
    ("lr_end", "asr", "tiny"),
    ("randomized", "asr", "tiny"),
    ("soft_orthogonal", "vsr", "tiny"),
    ("sgd", "asr", "tiny"),
)
_NAMES = f"""
import json
from pathlib import Path
from lrsms.base.strict import parse
from lrsms.base.yamlfile import read_yaml
from lrsms.study import expand
from lrsms.study.project import Project
content = read_yaml(Path("workflow/config/config.yaml"))
for name, task, scale in {SHIPPED + ADDED!r}:
    changes = {{"study": name, "task": task, "scale": scale}}
    loaded = expand.load(parse(Project, content | changes, "config.yaml"))
    print(json.dumps([experiment.name for experiment in loaded]))
changes = {{"study": "pair", "corpus": "common_voice"}}
print(json.dumps(expand.load(parse(Project, content | changes, "config.yaml"))[0].run.prepared))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What recipes touch or use, with all of them applied."""
    root = tmp_path_factory.mktemp("recipes") / "copy"
    for folder in ("lrsms", "workflow", "tests"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "test_*"))
    copied = ("methods/test_init.py", "methods/variants/test_every_method.py", "training/test_optimizer.py")
    copied += ("record/test_metric.py", "report/test_further.py", "data/corpora/test_corpora.py")
    for name in (*copied, "use/test_schemas.py"):
        shutil.copy(ROOT / "tests" / name, root / "tests" / name)
    shutil.copy(ROOT / "pyproject.toml", root)
    for title in RECIPES:
        apply(root, title)
    return root


@pytest.fixture(scope="module")
def names(copy: Path) -> dict[str, list[str]]:
    """The names that the copy gives to the runs of shipped studies and of those of the recipes; and of a corpus."""
    (copy / "names.py").write_text(_NAMES)
    lines = run(copy, ".venv/bin/python names.py").splitlines()
    return dict(zip([*(name for name, *_ in SHIPPED + ADDED), "corpus"], map(json.loads, lines), strict=True))


def test_every_recipe_is_tested_here() -> None:
    assert list(RECIPES) == [CONFIGURATION, FIELD, INIT, METHOD, OPTIMIZER, METRIC, CORPUS, CONDITION, CLAIM]
    assert all(commands(title) for title in RECIPES)


@pytest.mark.parametrize(("title", "most"), [(INIT, 1), (METHOD, 1), (OPTIMIZER, 1), (METRIC, 1), (CORPUS, 2)])
def test_an_addition_is_one_file_of_the_package_and_a_corpus_a_class_beside_it(title: str, most: int) -> None:
    heads = [block.partition("\n")[0] for language, block in RECIPES[title] if language != "sh"]
    assert 1 <= len({head for head in heads if head.startswith("# lrsms/")}) <= most


@pytest.mark.parametrize(("name", "task", "scale"), SHIPPED)
def test_no_recipe_renames_a_finished_run(names, name, task, scale) -> None:
    """Neither fields that are off, nor another value of a field, nor another condition or claim."""
    content = read_yaml(SHIPPED_CONFIG / "config.yaml") | {"study": name, "task": task, "scale": scale}
    loaded = expand.load(parse(Project, content, "config.yaml"), SHIPPED_CONFIG)
    assert names[name] == [experiment.name for experiment in loaded]


def test_new_axes_and_methods_are_runs(names) -> None:
    assert len(set(names["qkv"])) == (2 + 2 * 2 * 2) * 3
    assert sum("fused" in name for name in names["qkv"]) == 2 * 2 * 3
    assert sum("lr_end0.1" in name for name in names["lr_end"]) == 6
    assert set(names["lr_end"]) & set(names["lrsms"]), "the dense baseline is the one of the other studies"
    assert sum("randomized" in name for name in names["randomized"]) == 3
    assert len(set(names["sgd"])) == 2 * 2 * 3 * 3
    assert sum("optimizersgd" in name for name in names["sgd"]) == 2 * 3 * 3
    assert sum("soft_orthogonal" in name for name in names["soft_orthogonal"]) == 6


@pytest.mark.slow
def test_the_tests_of_the_recipes_pass(copy: Path) -> None:
    tested = [command for title in RECIPES for command in commands(title) if "pytest" in command]
    files = [word for command in tested for word in command.split() if word.endswith(".py")]
    assert len(tested) == 6
    # It leaves out the tests of the other methods, which run where nothing is added.
    run(copy, f".venv/bin/python -m pytest -k 'soft_orthogonal or not test_every_method' {' '.join(files)}")


@pytest.mark.slow
def test_new_files_keep_to_the_schemas_that_are_written_again(copy: Path) -> None:
    run(copy, ".venv/bin/python -m lrsms schemas workflow/schemas")
    run(copy, ".venv/bin/python -m pytest tests/use/test_schemas.py")


_MEASURED = """
import sys
from pathlib import Path
sys.path.insert(0, "tests/support")
import fabricate
from lrsms.report import aggregate, tables
root = Path("measured")
experiments = [one for _, one in fabricate.demo((1, 2, 3))[:6]]
for number, one in enumerate(experiments):
    fabricate.record(root / "records", one, fabricate.scores(0.1 + 0.03 * number, number))
aggregate.aggregate(experiments, root / "records", root, fabricate.DECODING, root / "out")
tables.write(root / "out")
"""


def test_a_metric_by_one_file_is_in_the_table_with_its_change(copy: Path) -> None:
    files = [block.split("\n", 1)[0] for language, block in RECIPES[METRIC] if language != "sh"]
    assert files == ["# lrsms/record/metrics/ser.py", "# tests/test_ser.py"]
    (copy / "measured.py").write_text(_MEASURED)
    run(copy, ".venv/bin/python measured.py")
    table = pd.read_csv(copy / "measured/out/table.csv")
    for name in ("beam_test", "greedy_test"):
        assert (table[f"ser_percent_{name}"] > table[f"wer_percent_{name}"]).all()
        low, change, high = (table.loc[1, f"ser_change_{name}{end}"] for end in ("_low", "", "_high"))
        assert low < change < high and 0 < table.loc[1, f"ser_change_p_{name}"] < 1


def test_a_field_that_is_off_leaves_every_learning_rate_as_it_was(copy: Path, make_run) -> None:
    from lrsms.training.loop import learning_rate

    train = make_run().train
    spec = importlib.util.spec_from_file_location("changed_train", copy / "lrsms/training/loop.py")
    assert spec is not None and spec.loader is not None
    changed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(changed)
    settings = SimpleNamespace(**train.model_dump(), lr_end=None)
    for step in range(1000):
        assert changed.learning_rate(settings, step, 1000) == learning_rate(train, step, 1000)


def test_a_corpus_by_one_file_is_prepared(copy: Path, names) -> None:
    lie = copy / "where it lies"
    (lie / "clips").mkdir(parents=True)
    for number, file in enumerate(("train.tsv", "dev.tsv", "test.tsv")):
        lines = ["client_id\tpath\tsentence\tage"]
        for name in (f"{number}a", f"{number}b"):
            samples = np.random.default_rng(number).normal(0, 0.1, 32_000)
            soundfile.write(lie / f"clips/{name}.mp3", samples, 32_000, format="MP3")
            lines.append(f'speaker{number}\t{name}.mp3\tHe said "{"yes"[number]}".\t')
        (lie / file).write_text("\n".join(lines) + "\n")
    content = read_yaml(copy / "workflow/config/config.yaml") | {"study": "pair", "corpus": "common_voice"}
    (copy / "project.yaml").write_text(yaml.safe_dump(content | {"roots": {"common_voice": str(lie)}}))
    run(copy, f".venv/bin/python -m lrsms prepare --project project.yaml results/corpora/{names['corpus']}")
    manifest = (copy / f"results/corpora/{names['corpus']}/manifest.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in manifest[1:]]
    assert sorted((row[0], row[1], row[2], row[-1]) for row in rows) == [
        (f"{number}{letter}", split, f"speaker{number}", f'he said "{"yes"[number]}".')
        for number, split in enumerate(("train", "valid", "test"))
        for letter in "ab"
    ]


def test_conditions_have_another_score_table_and_a_figure(copy: Path) -> None:
    own, changed = (
        parse(Project, read_yaml(root / expand.CONFIG_FOLDER / "config.yaml"), "config.yaml").decoding
        for root in (ROOT, copy)
    )
    assert changed.scores != own.scores
    assert set(changed.conditions) - set(own.conditions) == {"babble_10dB", "white_0dB"}
    levels = noise_curves(shown_conditions(changed))
    assert [len(levels[noise]) for noise in ("babble noise", "white noise")] == [4, 2]


def test_a_claim_of_ones_own_is_judged(copy: Path) -> None:
    said = run(copy, commands(CLAIM)[0])
    assert said.startswith("[qkv-asr-tiny-commands] F1a not run: Attention loses nothing")


def test_the_study_and_the_conditions_of_the_docs_are_valid(tmp_path: Path) -> None:
    pages = "".join((ROOT / "docs" / name).read_text() for name in ("studies.md", "data.md"))
    blocks = [block for language, block in _BLOCK.findall(pages) if language == "yaml"]
    (conditions,) = (block for block in blocks if block.startswith("conditions:"))
    (larger,) = (block for block in blocks if block.startswith("# workflow/config/config.yaml"))
    (held_out,) = (block for block in blocks if block.startswith("# workflow/config/corpora/commands_test.yaml"))
    (ranks,) = (block for block in blocks if block.startswith("# workflow/config/studies/ranks.yaml"))
    folder = shutil.copytree(SHIPPED_CONFIG, tmp_path / "config")
    (folder / "studies/ranks.yaml").write_text(ranks)
    content = read_yaml(folder / "config.yaml") | {"study": "ranks", "task": "avsr", "scale": "tiny"}
    project = parse(Project, content | yaml.safe_load(conditions), "docs/data.md")
    assert len(expand.load(project, folder)) == (1 + 2 * 3 * 2) * 3
    assert [name for name, condition in project.decoding.conditions.items() if condition.without] == ["lips_only"]
    asked = parse(Project, content | yaml.safe_load(larger) | {"task": "asr"}, "docs/studies.md")
    corpora = with_test_corpora(asked, folder).decoding.corpora
    shown = yaml.safe_load(held_out)
    assert corpora is not None and corpora["commands_test"] == parse(
        HeldOut,
        shown | {"name": "commands_test", "of": load_corpus("commands", folder).model_dump(mode="json")},
        "docs",
    )


@pytest.mark.slow
@pytest.mark.parametrize("title", list(RECIPES))
def test_the_commands_of_a_recipe_work(copy: Path, title: str) -> None:
    """The workflow only makes a plan here. A test of its own, above, runs the tests."""
    for command in commands(title):
        if "pytest" in command:
            continue
        said = run(copy, command.replace("snakemake", "snakemake --dry-run"))
        assert "snakemake" not in command or re.search(r"^train +\d+$", said, re.MULTILINE)


@pytest.mark.slow
def test_a_new_method_trains_and_is_compared_under_new_conditions(copy: Path, tmp_path: Path) -> None:
    root = shutil.copytree(copy, tmp_path / "copy")
    folder = root / expand.CONFIG_FOLDER
    (folder / "presets/nano-asr.yaml").write_text(yaml.safe_dump(nano.PRESET))
    (folder / "corpora/few.yaml").write_text(yaml.safe_dump(nano.CORPUS))
    path = folder / "studies/randomized.yaml"
    path.write_text(path.read_text().replace("[1, 2, 3]", "[1]"))
    run(root, ".venv/bin/snakemake --cores 2 --config study=randomized scale=nano corpus=few")
    table = (root / "results/randomized-asr-nano-few/table.md").read_text()
    assert "randomized" in table and "spectral" in table
    assert (root / "figures/randomized-asr-nano-few/wer_by_snr.pdf").is_file()
