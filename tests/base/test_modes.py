"""Facts about who may read what is written: whoever the umask lets, as in a lab's shared folder."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lrsms.base.files import only_one, write_json
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.decoding.decode import decode
from lrsms.record.record import write_record
from lrsms.training.checkpoint import Checkpoint, save_checkpoint
from lrsms.training.loop import train

CPU = torch.device("cpu")


@pytest.fixture
def umask(request) -> Iterator[int]:
    earlier = os.umask(request.param)
    yield request.param
    os.umask(earlier)


@pytest.fixture
def corpus(make_lowrank, tmp_path) -> Path:
    """Where a corpus is to be prepared."""
    return tmp_path / "corpora" / make_lowrank().prepared


def assert_modes(folder: Path, umask: int) -> None:
    paths = [folder, *folder.rglob("*")]
    assert len(paths) > 1
    for path in paths:
        expected = (0o777 if path.is_dir() else 0o666) & ~umask
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077], ids=oct, indirect=True)
def test_files_and_folders_have_the_mode_of_new_ones(umask, tmp_path):
    folder = tmp_path / "a"
    write_json(folder / "b/c.json", {})
    save_checkpoint(folder / "checkpoints", Checkpoint(1, {"x": torch.ones(3)}, {}))
    save_checkpoint(folder / "checkpoints", Checkpoint(1, {"x": torch.zeros(3)}, {}))  # in place of one that is there
    with only_one(folder / "run"):
        pass
    assert_modes(folder, umask)


@pytest.mark.parametrize("umask", [0o002, pytest.param(0o022, marks=pytest.mark.slow)], ids=oct, indirect=True)
def test_so_has_all_that_a_run_leaves(make_lowrank, resolve_run, decoding, corpus, tmp_path, umask):
    run = make_lowrank(train__steps=1, train__snapshots=1, train__average=1)
    prepare(run.corpus, run.tokenizer, run.model.modalities, None, corpus)
    folder = resolve_run(run, tmp_path / "runs")
    train(run, Prepared(corpus), folder, CPU, checkpoint_seconds=0)
    hypotheses = folder / "hypotheses-1.jsonl"
    decode(run, Prepared(corpus), folder, hypotheses, decoding, CPU)
    write_record(folder, hypotheses, tmp_path / "records" / folder.name / "scores-1.csv.gz")
    for name in ("corpora", "runs", "records"):
        assert_modes(tmp_path / name, umask)
