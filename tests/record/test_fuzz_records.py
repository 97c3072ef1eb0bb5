"""Whatever bytes stand in the files of a record, or beside it, they are taken or refused in one line."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import fabricate
import pytest
from mangling import EXAMPLES, fuzz

from lrsms.record import hypotheses, seal
from lrsms.record.decoding_times import times_path
from lrsms.record.losses import write_losses
from lrsms.record.record import parts_of
from lrsms.record.run_files import losses_path
from lrsms.record.worst import worst_path
from lrsms.report import aggregate
from lrsms.report.validity import record

SCORES = fabricate.DECODING.scores
TOOK = {"audio_seconds": 60.0, "network_seconds": 1.0, "search_seconds": {"greedy": 0.1, "beam": 2.0}}
KINDS = [
    "config.json",
    "plan.json",
    "run.json",
    "spectra.json",
    "curve.csv",
    "times",
    "worst",
    "seal",
    "scores",
    "losses",
    "gzip",
]
ZIPPED = ("scores", "losses")


READERS = {
    "runs.csv": aggregate.read_runs,
    "speakers.csv": aggregate.read_speakers,
    "metrics.csv": aggregate.read_further,
}


def whole(folder: Path) -> Path:
    """A record with every file that one may have; few utterances, so that a change hits what matters."""
    table = fabricate.scores(0.3, 1, speakers=("a",)).query("id in ['00-0', '00-1']")
    session = {"start": 0, "seconds": 9.5, "device": "cpu", "num_devices": 1, "threads": 1}
    path = fabricate.record(folder, fabricate.demo()[1][1], table, seconds=9.5, threads=1, sessions=[session])
    times_path(path / SCORES).write_text(json.dumps({"conditions": {"valid": TOOK, "test": TOOK}}))
    worst_path(path / SCORES).write_text("{}")
    write_losses(path / SCORES, fabricate.losses(table))
    return path


@EXAMPLES
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_a_record_is_read_or_refused_in_one_line(kind: str, examples: int, tmp_path: Path) -> None:
    experiment, folder = fabricate.demo()[1][1], whole(tmp_path)
    scores = folder / SCORES
    if kind == "seal":
        seal.write(scores, {name: seal.hash_of(path) for name, path in parts_of(scores).items()})
    places = {"times": times_path(scores), "worst": worst_path(scores), "seal": seal.seal_path(scores)}
    places |= {"losses": losses_path(scores), "scores": scores, "gzip": scores}
    path = places.get(kind, folder / kind)
    content = gzip.decompress(path.read_bytes()) if kind in ZIPPED else path.read_bytes()

    def read(data: bytes) -> object:
        path.write_bytes(gzip.compress(data) if kind in ZIPPED else data)
        return record.read(folder, experiment.run, fabricate.DECODING)

    if kind == "gzip":
        damaged(content, read)
    else:
        fuzz(content.decode(), read, max(examples // 4, 25))


def damaged(content: bytes, read: Callable[[bytes], object]) -> None:
    """Each byte flipped in turn, and the file cut behind each."""
    for place in range(len(content)):
        for data in (content[:place], content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]):
            try:
                read(data)
            except ValueError as error:
                assert str(error) and not set("\n\r") & set(str(error)), error


@EXAMPLES
def test_hypotheses_are_read_or_refused_in_one_line(examples: int, tmp_path: Path) -> None:
    row = {"condition": "test", "id": "a", "speaker": "s", "reference": "one two", "hypothesis": "one"}
    lines = "".join(json.dumps({"decoder": name, **row}) + "\n" for name in fabricate.DECODING.decoders)

    def read(data: bytes) -> object:
        (tmp_path / "hypotheses.jsonl").write_bytes(data)
        return hypotheses.read(tmp_path / "hypotheses.jsonl", tmp_path, {"status": "finished"})

    fuzz(lines, read, examples)


@EXAMPLES
@pytest.mark.parametrize("name", list(READERS))
def test_aggregates_without_checksums_are_read_or_refused_in_one_line(name: str, examples: int, tmp_path: Path) -> None:
    experiment = fabricate.demo()[0][1]
    table = fabricate.scores(0.1, 1)
    path = fabricate.record(tmp_path / "records", experiment, table)
    write_losses(path / SCORES, fabricate.losses(table))
    aggregate.aggregate([experiment], tmp_path / "records", tmp_path, fabricate.DECODING, tmp_path / "out")
    (tmp_path / "out/SHA256SUMS").unlink()

    def read(data: bytes) -> object:
        (tmp_path / "out" / name).write_bytes(data)
        return READERS[name](tmp_path / "out")

    fuzz((tmp_path / "out" / name).read_text(), read, examples // 2)
