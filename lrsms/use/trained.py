"""A trained run, opened to be used: its network, and the tokenizer that spells what it finds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lrsms.base.files import file_hash, read_json
from lrsms.data.manifest import read_tsv
from lrsms.data.prepared import COLUMNS, MANIFEST, SUMMARY
from lrsms.data.text import Tokenizer, load_tokenizer
from lrsms.decoding.decode import load_trained
from lrsms.models.recognizer import Recognizer
from lrsms.record.record import load_outcome, load_run
from lrsms.record.resumed import refuse_wrongly_resumed
from lrsms.study.run import Run


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        folder: of the run.
        run: its configuration.
        tokenizer: of the corpus that it was trained on.
        model: in eval mode, in float32.
        longest: frames of the longest utterance that it was trained on.
    """

    folder: Path
    run: Run
    tokenizer: Tokenizer
    model: Recognizer
    longest: int


def load(folder: Path, corpora: Path, device: torch.device) -> Trained:
    """Opens a run; of its prepared corpus, only the tokenizer and the manifest are read.

    Args:
        folder: of the run, with its weights.
        corpora: folder of prepared corpora.
        device: where the network goes.

    Raises:
        ValueError: one line: there is no such run, it has not finished or was resumed wrongly, its weights are not
            those that training wrote, or its tokenizer is missing or another than it was trained with.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: is not the folder of a run; give one of results/runs, with its weights")
    run, outcome = load_run(folder), load_outcome(folder)
    if outcome["status"] != "finished":
        raise ValueError(f"{folder}: its training {outcome['status']}, so that there is nothing to use; take another")
    refuse_wrongly_resumed(run, outcome, folder, "delete it to train again")
    prepared = corpora / run.prepared
    tokenizer = _tokenizer(prepared, outcome)
    rows = read_tsv(prepared / MANIFEST, COLUMNS)
    longest = max((int(row.cells["frames"]) for row in rows if row.cells["split"] == "train"), default=0)
    return Trained(folder, run, tokenizer, load_trained(run, folder, tokenizer.size, device), longest)


def _tokenizer(prepared: Path, outcome: dict[str, Any]) -> Tokenizer:
    again = f"delete {prepared} and prepare the corpus again"
    if not (prepared / SUMMARY).is_file():
        raise ValueError(
            f"{prepared}: is not there, and with it the tokenizer of the run; prepare the corpus again, or say with "
            "--corpora where it lies"
        )
    summary = read_json(prepared / SUMMARY, again)
    tokenizer = load_tokenizer(prepared)
    path = prepared / tokenizer.FILE
    if summary.get("files", {}).get(tokenizer.FILE) != file_hash(path):
        raise ValueError(f"{path}: was changed after it was prepared; {again}")
    trained_with = outcome.get("tokenizer_hash")
    if trained_with is not None and trained_with != summary.get("tokenizer_hash"):
        raise ValueError(f"{path}: is not the tokenizer that the run was trained with; bring that corpus back")
    return tokenizer
