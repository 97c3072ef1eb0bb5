"""Facts about prepared corpora: what is kept exactly, what is skipped, what is refused, and that none is half-done."""

import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lrsms import config
from lrsms.data.corpora import manifest
from lrsms.data.prepare import prepare
from lrsms.data.prepared import Prepared

CORPUS = config.Manifest(kind="manifest", name="mine")
CHARACTERS = config.Tokenizer(kind="characters")
HEADER = "id\tsplit\taudio\tvideo\tspeaker\ttext\n"
SPLITS = ["train"] * 8 + ["valid", "test"]


def samples_of(number: int, count: int = 5_000) -> np.ndarray:
    return np.random.default_rng(number).integers(-9_000, 9_000, count).astype(np.int16)


def make(root: Path, num_utterances: int = 20, **texts: str) -> Path:
    """A corpus of short noises ``u0``, ``u1``, ...; eight train, one valid, one test in turn."""
    root.mkdir()
    lines = []
    for number in range(num_utterances):
        name = f"u{number}"
        soundfile.write(root / f"{name}.wav", samples_of(number), 16_000)
        lines.append(f"{name}\t{SPLITS[number % 10]}\t{name}.wav\t\ts{number % 2}\t{texts.get(name, 'ab cd')}\n")
    (root / "manifest.tsv").write_text(HEADER + "".join(lines), encoding="utf-8")
    return root


def run(root: Path, folder: Path, tokenizer: config.Tokenizer = CHARACTERS) -> Prepared:
    prepare(CORPUS, tokenizer, root, folder)
    return Prepared(folder)


def test_audio_text_and_speakers_come_back_exactly_in_corpus_order(tmp_path):
    prepared = run(make(tmp_path / "root", u0="  AB  Cd "), tmp_path / "out")
    train = prepared.items("train")
    assert [item.id for item in train] == [f"u{number}" for number in range(20) if number % 10 < 8]
    for item in train:
        number = int(item.id[1:])
        wave = prepared.wave(item)
        assert wave.dtype == np.float32
        assert item.frames == 8  # 5,000 samples padded up to 5,120
        np.testing.assert_array_equal(wave[:5_000] * 32_768, samples_of(number))
        assert len(wave) == 640 * item.frames
        assert not wave[5_000:].any()
        assert item.text == "ab cd"
        assert item.speaker == f"s{number % 2}"
        assert prepared.tokenizer.decode(item.tokens) == item.text
    assert [item.id for split in ("valid", "test") for item in prepared.items(split)] == ["u8", "u18", "u9", "u19"]


def test_the_summary_counts_each_split(tmp_path):
    prepared = run(make(tmp_path / "root"), tmp_path / "out")
    hours = pytest.approx(16 * 8 / 25 / 3600, abs=1e-6)
    assert prepared.summary["splits"]["train"] == {"utterances": 16, "speakers": 2, "words": 32, "hours": hours}
    assert prepared.summary["corpus"] == {"kind": "manifest", "name": "mine"}
    assert prepared.summary["skipped"] == []


def test_whole_frames_get_no_padding(tmp_path):
    root = make(tmp_path / "root")
    soundfile.write(root / "u0.wav", samples_of(0, 640 * 7), 16_000)
    assert run(root, tmp_path / "out").items("train")[0].frames == 7


def test_a_wave_beyond_full_scale_is_scaled_not_clipped(tmp_path):
    root = make(tmp_path / "root")
    wave = 4 * np.sin(np.arange(6_400) / 9)
    soundfile.write(root / "u0.wav", wave, 16_000, subtype="FLOAT")
    prepared = run(root, tmp_path / "out")
    np.testing.assert_allclose(prepared.wave(prepared.items("train")[0]), wave / np.abs(wave).max(), atol=1e-4)


def test_the_hash_is_of_the_content(tmp_path):
    one = run(make(tmp_path / "one"), tmp_path / "out1").hash
    assert run(make(tmp_path / "two"), tmp_path / "out2").hash == one
    assert run(make(tmp_path / "three", u3="ab dc"), tmp_path / "out3").hash != one
    assert run(tmp_path / "one", tmp_path / "out4", config.Tokenizer(kind="unigram", pieces=6)).hash != one
    soundfile.write(tmp_path / "two" / "u0.wav", samples_of(77), 16_000)
    assert run(tmp_path / "two", tmp_path / "out2").hash != one


def test_progress_ends_at_all_of_them(tmp_path):
    seen: list[tuple[int, int]] = []
    prepare(
        CORPUS, CHARACTERS, make(tmp_path / "root"), tmp_path / "out", lambda done, total: seen.append((done, total))
    )
    assert seen == [(done, 20) for done in range(1, 21)]


def break_audio(path: Path, how: str) -> None:
    waves = {"empty": np.zeros(0), "short": np.zeros(3_199), "nan": np.full(5_000, np.nan)}
    if how == "missing":
        path.unlink()
    elif how == "unreadable":
        path.write_bytes(b"RIFF no more")
    else:
        soundfile.write(path, waves[how], 16_000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("missing", "no such file"),
        ("unreadable", "cannot be read"),
        ("empty", "holds no samples"),
        ("nan", "NaN"),
        ("short", "too short"),
    ],
)
def test_bad_audio_is_skipped_counted_and_listed(tmp_path, how, reason):
    root = make(tmp_path / "root", 100)
    break_audio(root / "u17.wav", how)
    prepared = run(root, tmp_path / "out")
    (skipped,) = prepared.summary["skipped"]
    assert (skipped["id"], skipped["split"]) == ("u17", "train")
    assert reason in skipped["reason"]
    assert prepared.summary["splits"]["train"]["utterances"] == 79
    kept = [item for split in ("train", "valid", "test") for item in prepared.items(split)]
    assert len(kept) == 99
    for item in kept:
        np.testing.assert_array_equal(prepared.wave(item)[:5_000] * 32_768, samples_of(int(item.id[1:])))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("  ", "transcript is empty"),
        ("ab xd", "character 'x' (latin small letter x, U+0078) is not in the tokenizer"),
        ("aabbc", None),  # 5 tokens and 2 blanks between equal ones: 7 of the 8 frames
        ("aaabbc", "transcript needs 9 frames for CTC, the audio has 8"),
    ],
)
def test_a_transcript_that_cannot_be_spelt_or_aligned_is_skipped(tmp_path, text, reason):
    prepared = run(make(tmp_path / "root", 100, u18=text), tmp_path / "out")
    assert len(prepared.items("valid")) == (10 if reason is None else 9)
    if reason:
        (skipped,) = prepared.summary["skipped"]
        assert skipped["id"] == "u18"
        assert reason in skipped["reason"]


def test_more_than_one_percent_is_refused_with_the_list(tmp_path):
    root = make(tmp_path / "root", 100, u29="xyz")
    break_audio(root / "u3.wav", "nan")
    with pytest.raises(ValueError, match=r"^2 of 100 utterances cannot be used, more than 1%; 'u3': .*NaN") as caught:
        run(root, tmp_path / "out")
    listed = tmp_path / "out.skipped.tsv"
    assert str(listed) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [line.split("\t")[:2] for line in listed.read_text().splitlines()[1:]] == [["u3", "train"], ["u29", "test"]]
    assert not (tmp_path / "out").exists()
    soundfile.write(root / "u3.wav", samples_of(3), 16_000)
    run(root, tmp_path / "out")
    assert not listed.exists()


def test_a_split_of_which_nothing_is_left_is_refused(tmp_path):
    root = make(tmp_path / "root", 110)
    text = (root / "manifest.tsv").read_text().replace("\tvalid\t", "\ttrain\t").replace("u0\ttrain", "u0\tvalid", 1)
    (root / "manifest.tsv").write_text(text)
    break_audio(root / "u0.wav", "nan")
    with pytest.raises(ValueError, match="corpus 'mine': no usable utterance is left in split 'valid'"):
        run(root, tmp_path / "out")


def test_a_corpus_without_a_root_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"^roots\.mine: not set"):
        prepare(CORPUS, CHARACTERS, None, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interrupt_leaves_what_was_there(tmp_path, monkeypatch, error):
    root = make(tmp_path / "root")
    before = run(root, tmp_path / "out").hash
    whole = manifest.utterances

    def stops_midway(*arguments) -> Iterator:
        utterances = whole(*arguments)
        yield next(utterances)
        raise error

    monkeypatch.setattr(manifest, "utterances", stops_midway)
    expected = ValueError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        prepare(CORPUS, CHARACTERS, root, tmp_path / "out")
    if expected is ValueError:
        assert "out: the disk is full" in str(caught.value)
    assert Prepared(tmp_path / "out").hash == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "root"]


def test_what_is_left_of_a_killed_run_is_not_taken_for_finished(tmp_path):
    (tmp_path / "out.partial" / "rendered").mkdir(parents=True)
    (tmp_path / "out.partial" / "audio.npy").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"out: is not a prepared corpus \(no corpus.json in it\)"):
        Prepared(tmp_path / "out")
    run(make(tmp_path / "root"), tmp_path / "out")
    assert not (tmp_path / "out.partial").exists()


def test_a_folder_with_anything_else_in_it_is_not_replaced(tmp_path):
    root = make(tmp_path / "root")
    (tmp_path / "out").mkdir()
    run(root, tmp_path / "out")  # an empty one is
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"out: holds 'thesis\.tex'"):
        run(root, tmp_path / "out")
    with pytest.raises(ValueError, match=r"manifest\.tsv: is a file"):
        run(root, root / "manifest.tsv")


def drop_audio(folder: Path) -> None:
    (folder / "audio.npy").unlink()


def cut_audio(folder: Path) -> None:
    content = (folder / "audio.npy").read_bytes()
    (folder / "audio.npy").write_bytes(content[:-2_000])


def shorten_audio(folder: Path) -> None:
    np.save(folder / "audio.npy", np.load(folder / "audio.npy")[:-640])


def edit_manifest(folder: Path) -> None:
    text = (folder / "manifest.tsv").read_text()
    (folder / "manifest.tsv").write_text(text.replace("ab cd", "ab dc", 1))


def edit_hash(folder: Path) -> None:
    summary = json.loads((folder / "corpus.json").read_text())
    (folder / "corpus.json").write_text(json.dumps(summary | {"hash": "0" * 64}))


def cut_summary(folder: Path) -> None:
    (folder / "corpus.json").write_text((folder / "corpus.json").read_text()[:-9])


def drop_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_audio, "is torn"),
        (cut_audio, "is torn"),
        (shorten_audio, "is shorter than its manifest says"),
        (edit_manifest, "was changed after it was prepared"),
        (edit_hash, "was changed after it was prepared"),
        (cut_summary, "is torn"),
        (drop_tokenizer, "is torn"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(tmp_path, damage, message):
    run(make(tmp_path / "root"), tmp_path / "out")
    damage(tmp_path / "out")
    with pytest.raises(ValueError, match=message) as caught:
        Prepared(tmp_path / "out")
    assert str(tmp_path / "out") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_copy_of_a_recording_in_another_split_is_refused(tmp_path):
    root = make(tmp_path / "root")
    shutil.copy(root / "u8.wav", root / "u9.wav")  # valid and test
    with pytest.raises(ValueError, match=r"^'u9' of split 'test' is the same recording as 'u8' of split 'valid'"):
        run(root, tmp_path / "out")
