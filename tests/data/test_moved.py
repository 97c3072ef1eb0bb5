"""A corpus that is read in place and is moved: training and decoding read it where ``roots`` says that it lies now."""

import json
import shutil
from pathlib import Path

import nano
import pytest
from fabricate_corpora import write_librispeech

from lrsms.__main__ import main
from lrsms.base.strict import parse
from lrsms.data.prepare import prepare
from lrsms.study.run import Run

CORPUS = {"kind": "librispeech", "name": "few", "train": ["train"], "valid": ["dev"], "test": ["test"]}
TEXTS = {subset: {f"{s}-1-000{n}": "BIN BLUE" for n in range(4)} for s, subset in enumerate(("train", "dev", "test"))}


@pytest.fixture
def begun(tmp_path, monkeypatch, make_run, resolve_run) -> tuple[Path, Path, Path]:
    """The folder of a run, its corpora, and where its corpus was moved to after it was prepared."""
    monkeypatch.chdir(tmp_path)
    train = nano.PRESET["train"] | {"steps": 1, "snapshots": 1, "average": 1}
    data = {"scale": "nano", "task": "asr", **nano.PRESET, "corpus": CORPUS, "train": train}
    run = parse(Run, data, "test")
    write_librispeech(tmp_path / "root", TEXTS)
    prepare(run.corpus, run.tokenizer, ("audio",), tmp_path / "root", tmp_path / "corpora" / run.prepared)
    (tmp_path / "root").rename(tmp_path / "moved 'here'")
    return resolve_run(run, tmp_path), tmp_path / "corpora", tmp_path / "moved 'here'"


def test_a_run_goes_on_where_its_corpus_lies_now(begun, capsys):
    folder, corpora, root = begun
    options = ["--corpora", str(corpora), "--device", "cpu"]
    assert main(["train", *options, str(folder)]) == 1
    error = capsys.readouterr().err
    assert "no such file, though corpus 'few' was prepared from it; bring it back, or give" in error
    assert len([line for line in error.splitlines() if line.startswith("error:")]) == 1
    roots = {"few": str(root), "other": "/elsewhere"}
    assert main(["train", *options, "--roots", json.dumps(roots), str(folder)]) == 0
    output = folder / "hypotheses.jsonl"
    project = json.dumps(nano.PROJECT | {"roots": roots})
    assert main(["decode", *options, "--project", project, str(folder), str(output)]) == 0
    assert output.read_text()
    # What was noted in a checkout that is moved along is of no account either.
    shutil.copytree(root, root.parent / "root")
    flac = next(root.rglob("2-1-0000.flac"))
    flac.write_bytes(next(root.rglob("2-1-0001.flac")).read_bytes())
    capsys.readouterr()
    assert main(["decode", *options, "--project", project, str(folder), str(output)]) == 1
    assert f"{flac}: is not the recording that corpus 'few' was prepared from" in capsys.readouterr().err


@pytest.mark.parametrize("roots", ["[a]", "few", "{few: 3}"])
def test_roots_that_are_no_mapping_of_folders_are_refused(begun, capsys, roots):
    folder, corpora, _ = begun
    assert main(["train", "--corpora", str(corpora), "--roots", roots, str(folder)]) == 1
    assert capsys.readouterr().err.startswith("error: --roots: ")
