"""Renders a corpus and trains a low-rank run on it: prints the digests of what comes out, as JSON."""

import hashlib
import importlib.metadata
import json
import sys
import tempfile
from pathlib import Path

import nano
import torch

from lrsms.base.files import write_json
from lrsms.base.portable import is_portable
from lrsms.base.strict import parse
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.record.run_files import CONFIG, OUTCOME
from lrsms.study.fields import overlay
from lrsms.study.run import Run
from lrsms.training.loop import train

PACKAGES = ("torch", "torchaudio", "numpy", "scipy", "espeakng-loader")
"""Whose release may change a number."""


def digests(folder: Path, task: str, steps: int) -> dict[str, str]:
    """The SHA-256 of the prepared recordings, in one, and of the trained weights."""
    base = {"scale": "nano", "task": task, "corpus": {**nano.CORPUS, "name": "few"}, **nano.PRESETS[task]}
    point = {name.replace("__", "."): value for name, value in nano.SPECTRAL.items()}
    point |= {"train.steps": steps, "train.snapshots": 2, "corpus.train": 12}
    run = parse(Run, overlay(base, point, "portable"), "portable")
    corpus = folder / run.prepared
    prepare(run.corpus, run.tokenizer, run.model.modalities, None, corpus)
    write_json(folder / CONFIG, run.model_dump(mode="json", exclude_none=True))
    train(run, Prepared(corpus), folder, torch.device("cpu"))
    streams = sorted(corpus.glob("*.npy"))
    recordings = hashlib.sha256(b"".join(path.read_bytes() for path in streams)).hexdigest()
    return {"recordings": recordings, "weights": json.loads((folder / OUTCOME).read_text())["weights_hash"]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        found = digests(Path(place), sys.argv[1], int(sys.argv[2]))
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    print(json.dumps({"portable": is_portable(), "versions": versions} | found))
