"""Facts about corpora that come as lists of Kaldi or Lhotse: the parts of recordings they name, and every refusal."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lrsms.base.strict import parse
from lrsms.data.corpora import kaldi, lhotse
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared
from lrsms.study.corpus import Kaldi, Lhotse
from lrsms.study.run import Tokenizer

FOLDERS = {"train": ["data/train"], "valid": ["data/dev"], "test": ["data/test"]}
TEXTS = {"train": ["one two", "two three"], "dev": ["two one"], "test": ["three one"]}
RATE, LONG = 16_000, 6.0


def write_recording(path: Path, seed: int) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).integers(-3000, 3000, int(LONG * RATE)).astype("<i2")
    soundfile.write(path, samples, RATE)
    return samples


def spans(part: str) -> list[tuple[float, float]]:
    return [(0.5 + 2 * number, 1.75 + 2 * number) for number, _ in enumerate(TEXTS[part])]


def write_kaldi(root: Path, with_segments: bool = True) -> dict[str, np.ndarray]:
    """As a recipe leaves it: names in order, paths as seen from its folder."""
    waves = {}
    for seed, (part, texts) in enumerate(TEXTS.items()):
        folder = root / "data" / part
        folder.mkdir(parents=True)
        names = [f"spk{seed}-{part}-{number}" for number, _ in enumerate(texts)]
        recordings = [f"rec-{part}"] if with_segments else names
        for number, recording in enumerate(recordings):
            waves[recording] = write_recording(root / f"wavs/{recording}.wav", 10 * seed + number)
        lists = {
            "wav.scp": [f"{recording} wavs/{recording}.wav" for recording in recordings],
            "text": [f"{name} {text}" for name, text in zip(names, texts, strict=True)],
            "utt2spk": [f"{name} spk{seed}" for name in names],
        }
        if with_segments:
            parts = zip(names, spans(part), strict=True)
            lists["segments"] = [f"{name} rec-{part} {begin} {end}" for name, (begin, end) in parts]
        for name, lines in lists.items():
            (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return waves


def write_lhotse(root: Path) -> dict[str, np.ndarray]:
    """As ``RecordingSet.to_file`` and ``SupervisionSet.to_file`` write them."""
    waves = {}
    for seed, (part, texts) in enumerate(TEXTS.items()):
        waves[f"rec-{part}"] = write_recording(root / f"wavs/rec-{part}.wav", seed)
        source = {"type": "file", "channels": [0], "source": f"wavs/rec-{part}.wav"}
        recording = {"id": f"rec-{part}", "sources": [source], "sampling_rate": RATE, "num_samples": int(LONG * RATE)}
        recordings = [recording | {"duration": LONG, "channel_ids": [0]}]
        supervisions = [
            {"id": f"{part}-{number}", "recording_id": f"rec-{part}", "start": begin, "duration": end - begin}
            | {"channel": 0, "text": text, "language": "English", "speaker": f"spk{seed}"}
            for number, (text, (begin, end)) in enumerate(zip(texts, spans(part), strict=True))
        ]
        for name, rows in (("recordings", recordings), ("supervisions", supervisions)):
            path = root / f"data/{part}/{name}.jsonl.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            with gzip.open(path, "wt") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
    return waves


KALDI = parse(Kaldi, FOLDERS | {"kind": "kaldi", "name": "k"}, "test")
LHOTSE = parse(Lhotse, FOLDERS | {"kind": "lhotse", "name": "k"}, "test")
KINDS = [(KALDI, kaldi, write_kaldi), (LHOTSE, lhotse, write_lhotse)]


@pytest.mark.parametrize(("corpus", "reader", "write"), KINDS)
def test_parts_of_recordings_have_their_text_speaker_and_split(tmp_path, corpus, reader, write):
    write(tmp_path)
    found = list(reader.utterances(corpus, tmp_path, tmp_path))
    assert [(row.split, row.speaker, row.text) for row in found] == [
        ("train", "spk0", "one two"),
        ("train", "spk0", "two three"),
        ("valid", "spk1", "two one"),
        ("test", "spk2", "three one"),
    ]
    assert [row.span for row in found] == [span for part in TEXTS for span in spans(part)]


@pytest.mark.parametrize(("corpus", "reader", "write"), KINDS)
def test_what_is_prepared_is_the_part_and_nothing_else(tmp_path, corpus, reader, write):
    waves = write(tmp_path / "root")
    prepare(corpus, Tokenizer(kind="characters"), ("audio",), tmp_path / "root", tmp_path / "prepared")
    prepared = Prepared(tmp_path / "prepared")
    for split, part in (("train", "train"), ("valid", "dev"), ("test", "test")):
        for item, (begin, end) in zip(prepared.items(split), spans(part), strict=True):
            expected = waves[f"rec-{part}"][int(begin * RATE) : int(end * RATE)] / 32768
            found = prepared.wave(item)
            np.testing.assert_array_equal(found[: len(expected)], expected.astype(np.float32))
            assert item.frames == -(-len(expected) // 640)


def test_other_parts_of_the_same_recordings_are_another_corpus(tmp_path):
    identities = []
    for number in range(2):
        root = tmp_path / str(number)
        write_kaldi(root)
        path = root / "data/train/segments"
        path.write_text(path.read_text().replace("1.75", "1.8" if number else "1.75"))
        prepare(KALDI, Tokenizer(kind="characters"), ("audio",), root, tmp_path / f"p{number}")
        identities.append(Prepared(tmp_path / f"p{number}").identity["source_hash"])
    assert identities[0] != identities[1]


def test_without_segments_each_recording_is_an_utterance(tmp_path):
    write_kaldi(tmp_path, with_segments=False)
    found = list(kaldi.utterances(KALDI, tmp_path, tmp_path))
    assert all(row.span is None for row in found) and len({row.audio for row in found}) == 4


def test_a_supervision_of_the_whole_recording_is_all_of_it(tmp_path):
    write_lhotse(tmp_path)
    rewrite(tmp_path / "data/dev/supervisions.jsonl.gz", start=0.0, duration=LONG - 0.01)
    assert [row.span for row in lhotse.utterances(LHOTSE, tmp_path, tmp_path)][2] is None


def rewrite(path: Path, **changes) -> None:
    with gzip.open(path, "rt") as file:
        rows = [json.loads(line) | changes for line in file]
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def refusal(reader, corpus, root) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        list(reader.utterances(corpus, root, root))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("wav.scp", "rec-train sph2pipe -f wav wavs/x.sph |\n", "is a command, which is not run"),
        ("wav.scp", "rec-train ../../etc/x.wav\n", "lies outside the corpus folder"),
        ("wav.scp", "other wavs/x.wav\n", "is of recording 'rec-train', which wav.scp does not list"),
        ("segments", "spk0-train-0 rec-train 2 1\n", "not a recording and the seconds of its begin and end"),
        ("segments", "spk0-train-0 rec-train 0\n", "not a recording and the seconds of its begin and end"),
        ("text", "spk0-train-0 one\n", "text: has no line for 'spk0-train-1'"),
        ("utt2spk", "a b\na c\n", "line 2: 'a' has a line already"),
        ("text", "", "is empty"),
    ],
)
def test_lists_of_kaldi_that_cannot_be_right_are_refused(tmp_path, name, content, said):
    write_kaldi(tmp_path)
    (tmp_path / "data/train" / name).write_text(content)
    assert said in refusal(kaldi, KALDI, tmp_path)


def test_a_name_may_end_at_a_tab(tmp_path):
    write_kaldi(tmp_path)
    before = list(kaldi.utterances(KALDI, tmp_path, tmp_path))
    for path in (tmp_path / "data/train").iterdir():
        path.write_text("".join(line.replace(" ", "\t", 1) for line in path.read_text().splitlines(keepends=True)))
    assert list(kaldi.utterances(KALDI, tmp_path, tmp_path)) == before


def test_recordings_of_lhotse_have_one_line_each_and_may_be_numbered(tmp_path):
    write_lhotse(tmp_path)
    before = list(lhotse.utterances(LHOTSE, tmp_path, tmp_path))
    recordings = tmp_path / "data/train/recordings.jsonl.gz"
    rewrite(recordings, id=7)
    rewrite(tmp_path / "data/train/supervisions.jsonl.gz", recording_id=7)
    assert list(lhotse.utterances(LHOTSE, tmp_path, tmp_path)) == before
    recordings.write_bytes(2 * recordings.read_bytes())
    assert "line 2: '7' has a line already" in refusal(lhotse, LHOTSE, tmp_path)


SOURCE = {"type": "file", "channels": [0], "source": "wavs/x.wav"}


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("recordings", {"sources": [SOURCE | {"type": "url"}]}, "its source is of type 'url'"),
        ("recordings", {"sources": [SOURCE | {"channels": [0, 1]}]}, "has 2 channels, of which one is meant"),
        ("recordings", {"sources": [SOURCE, SOURCE]}, "has 2 sources"),
        ("recordings", {"sources": [SOURCE | {"source": "/etc/x.wav"}]}, "lies outside the corpus folder"),
        ("recordings", {"sources": [{}]}, "'sources' must be one"),
        ("recordings", {"transforms": [{"name": "Speed"}]}, "is changed when it is read"),
        ("supervisions", {"recording_id": "other"}, "which recordings does not list"),
        ("supervisions", {"start": -1}, "must be seconds within the recording"),
        ("supervisions", {"text": 3}, "must be text"),
    ],
)
def test_manifests_of_lhotse_that_cannot_be_right_are_refused(tmp_path, name, changes, said):
    write_lhotse(tmp_path)
    rewrite(tmp_path / f"data/train/{name}.jsonl.gz", **changes)
    assert said in refusal(lhotse, LHOTSE, tmp_path)


@pytest.mark.parametrize(
    "content", [b"", gzip.compress(b"", mtime=0), gzip.compress(b"{torn", mtime=0), gzip.compress(b"[]\n", mtime=0)]
)
def test_torn_manifests_are_refused(tmp_path, content):
    write_lhotse(tmp_path)
    (tmp_path / "data/train/recordings.jsonl.gz").write_bytes(content)
    assert "recordings.jsonl.gz" in refusal(lhotse, LHOTSE, tmp_path)
    (tmp_path / "data/train/recordings.jsonl.gz").unlink()
    assert "cannot be read" in refusal(lhotse, LHOTSE, tmp_path)


@pytest.mark.parametrize(("corpus", "reader"), [(KALDI, kaldi), (LHOTSE, lhotse)])
def test_a_folder_in_two_splits_is_refused(tmp_path, corpus, reader):
    twice = corpus.model_copy(update={"test": corpus.train})
    assert "is in 'train' and again in 'test'" in refusal(reader, twice, tmp_path)


def test_a_part_beyond_the_end_is_left_to_prepare(tmp_path):
    from lrsms.data.recordings import recording

    write_kaldi(tmp_path)
    path = tmp_path / "data/train/segments"
    path.write_text(path.read_text().replace("3.75", "33.75"))
    row = list(kaldi.utterances(KALDI, tmp_path, tmp_path))[1]
    with pytest.raises(ValueError, match=r"is 6\.00 s long, and has no part from 2\.50 to 33\.75 s"):
        recording.read(row, ("audio",))
