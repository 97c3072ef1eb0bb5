"""Facts about the schemas: they are those of the models, every shipped file keeps to them, and slips do not."""

import json
import os
from pathlib import Path

import jsonschema
import pytest

from lrsms.base.yamlfile import read_yaml
from lrsms.use.schemas import schemas, write

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "workflow/config"
FOLDER = ROOT / "workflow/schemas"
SHIPPED = [
    (CONFIG / "config.yaml", "config"),
    *((path, "corpus") for path in sorted((CONFIG / "corpora").glob("*.yaml"))),
    *((path, "preset") for path in sorted((CONFIG / "presets").glob("*.yaml"))),
    *((path, "study") for path in sorted((CONFIG / "studies").glob("*.yaml"))),
]


def plain(path: Path):
    return json.loads(json.dumps(read_yaml(path)))


def test_what_is_committed_is_up_to_date(tmp_path):
    for path in write(tmp_path):
        committed = FOLDER / path.name
        assert committed.read_bytes() == path.read_bytes(), "python -m lrsms schemas workflow/schemas"


@pytest.mark.parametrize(("path", "name"), SHIPPED, ids=[path.stem for path, _ in SHIPPED])
def test_every_shipped_file_names_its_schema_and_keeps_to_it(path, name):
    first = path.read_text().splitlines()[0]
    schema = Path(os.path.relpath(FOLDER / f"{name}.json", path.parent)).as_posix()
    wanted = f"# yaml-language-server: $schema={schema}"
    assert first == wanted, f"{path}: the first line must be {wanted}"
    jsonschema.validate(plain(path), schemas()[name])


@pytest.mark.parametrize(
    ("name", "file", "change"),
    [
        ("corpus", "corpora/commands", {"trian": 3}),
        ("corpus", "corpora/commands", {"train": "many"}),
        ("corpus", "corpora/commands", {"kind": "speech"}),
        ("preset", "presets/tiny-asr", {"model": {}}),
        ("preset", "presets/tiny-asr", {"task": "asr"}),
        ("preset", "presets/tiny-asr", {"tokenizer": {"kind": "letters"}}),
        ("study", "studies/demo", {"grids": []}),
        ("study", "studies/demo", {"grids": [{"seed": 1}]}),
        ("study", "studies/demo", {"nuisances": []}),
        ("config", "config", {"task": "tts"}),
    ],
)
def test_slips_do_not_keep_to_it(name, file, change):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain(CONFIG / f"{file}.yaml") | change, schemas()[name])


def test_fields_are_explained():
    found = schemas()
    assert "Momentum" not in found["study"]["$defs"]
    axes = found["study"]["$defs"]["Grid"]["properties"]
    assert {"train.lr", "lowrank.ratio", "model.dim", "seed"} <= set(axes)
    assert axes["lowrank.ratio"]["description"] == (
        "Fraction of full rank that is kept, averaged over depth: a number, or one for each target."
    )
    assert not any(name.startswith(("corpus", "task", "scale")) for name in axes)
    synthetic = found["corpus"]["$defs"]["Synthetic"]["properties"]
    assert "BCP 47" in synthetic["language"]["description"] and "name" not in synthetic
    assert "warmup" in found["preset"]["$defs"]["Train"]["properties"]
    assert "Synthetic" not in found["preset"]["$defs"]
