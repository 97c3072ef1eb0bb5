"""A condition that is added is decoded alone, with a test set of its own too; all else is as if decoded at once."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lrsms.base.files import write_json
from lrsms.data.prepared import Prepared
from lrsms.data.testsets import prepare_tests
from lrsms.decoding import passes
from lrsms.decoding.decode import decode
from lrsms.record.losses import load_losses
from lrsms.record.record import write_record
from lrsms.record.tested import load_tests
from lrsms.report.validity.record import read as read_record
from lrsms.study.corpus import HeldOut
from lrsms.study.decoding import Condition, Decoder, Decoding

CPU = torch.device("cpu")
VALID, CLEAN = Condition(split="valid"), Condition(split="test")
LARGE, NOISY = Condition(corpus="more"), Condition(corpus="more", noise="babble", snr=0)


@pytest.fixture(scope="module")
def more(make_run) -> HeldOut:
    return HeldOut(kind="held_out", name="more", of=make_run().corpus, test=9, test_voices=3)


@pytest.fixture(scope="module")
def tests(tmp_path_factory, prepared, more) -> dict[str, Prepared]:
    """Of the corpus that conditions name, prepared for the runs of ``make_run``."""
    folder = tmp_path_factory.mktemp("tests") / "more"
    prepare_tests(more, ("audio",), None, folder)
    return {"more": Prepared(folder, lender=prepared)}


@pytest.fixture
def asked(decoding, more):
    """Makes a way of decoding of conditions, with the decoders of nano's project."""

    def make(decoders=None, **conditions) -> Decoding:
        corpora = {"more": more} if any(one.corpus for one in conditions.values()) else None
        return Decoding(decoders=decoders or decoding.decoders, conditions=conditions, corpora=corpora)

    return make


@pytest.fixture
def run_decode(make_run, prepared, tests, trained, tmp_path, monkeypatch):
    """Decodes in a copy of the trained run: the hypotheses, and for which conditions recordings were read."""
    load, read = passes.condition_batch, []

    def noted(prepared_, members, condition):
        read.append(condition)
        return load(prepared_, members, condition)

    monkeypatch.setattr(passes, "condition_batch", noted)

    def call(decoding: Decoding, where: str = "one", sets=None) -> tuple[Path, list[Condition]]:
        folder = tmp_path / where / trained.name
        if not folder.exists():
            shutil.copytree(trained, folder)
        read.clear()
        output = folder / f"hypotheses-{decoding.digest}.jsonl"
        decode(make_run(), prepared, folder, output, decoding, CPU, tests if sets is None else sets)
        return output, list(dict.fromkeys(read))

    return call


def beside(path: Path, kind: str) -> bytes:
    return path.with_name(f"{path.stem}.{kind}").read_bytes()


def test_only_the_new_conditions_are_decoded(run_decode, asked):
    _, read = run_decode(asked(valid=VALID, clean=CLEAN))
    assert read == [VALID, CLEAN]
    everything = asked(large=LARGE, valid=VALID, clean=CLEAN, noisy=NOISY)
    added, read = run_decode(everything)
    assert read == [LARGE, NOISY]
    at_once, read = run_decode(everything, "two")
    assert read == [VALID, LARGE, CLEAN, NOISY]
    for kind in ("jsonl", "loss.csv.gz", "tests.json", "decoding.json"):
        assert beside(added, kind) == beside(at_once, kind), kind
    times = [json.loads(beside(path, "times.json"))["conditions"] for path in (added, at_once)]
    assert list(times[0]) == list(times[1]) == ["large", "valid", "clean", "noisy"]


def test_nothing_is_decoded_where_conditions_are_only_left_out(run_decode, asked):
    first, _ = run_decode(asked(valid=VALID, clean=CLEAN, large=LARGE))
    fewer, read = run_decode(asked(large=LARGE))
    assert read == []
    rows = [json.loads(line) for line in first.read_text().splitlines()]
    kept = [json.loads(line) for line in fewer.read_text().splitlines()]
    assert kept == [row for row in rows if row["condition"] == "large"] and len(kept) == 2 * 9


def test_another_decoder_decodes_all(run_decode, asked, decoding):
    run_decode(asked(clean=CLEAN, large=LARGE))
    others = decoding.decoders | {"beam": Decoder(kind="beam", beam=2, ctc_weight=0.4, length_bonus=0.1)}
    assert run_decode(asked(others, clean=CLEAN, large=LARGE))[1] == [CLEAN, LARGE]


def test_a_condition_of_the_same_name_that_is_another_is_decoded(run_decode, asked):
    run_decode(asked(clean=CLEAN, noisy=NOISY))
    louder = NOISY.model_copy(update={"snr": -5.0})
    assert run_decode(asked(clean=CLEAN, noisy=louder))[1] == [louder]


def test_a_test_set_that_was_prepared_otherwise_is_decoded_again(run_decode, asked, tests, tmp_path):
    run_decode(asked(large=LARGE))
    folder = shutil.copytree(tests["more"].folder, tmp_path / "other")
    summary = json.loads((folder / "corpus.json").read_text()) | {"source": "0" * 64}
    write_json(folder / "corpus.json", summary)
    other = {"more": Prepared(folder, lender=tests["more"])}
    assert run_decode(asked(clean=CLEAN, large=LARGE), sets=other)[1] == [CLEAN, LARGE]


def test_a_length_bonus_is_chosen_once_and_anew_where_validation_is_another(run_decode, asked):
    lists = {"beam": Decoder(kind="beam", beam=3, ctc_weight=0.4, length_bonus=(0.0, 2.0))}
    run_decode(asked(lists, valid=VALID, clean=CLEAN))
    added, read = run_decode(asked(lists, valid=VALID, clean=CLEAN, large=LARGE))
    at_once, _ = run_decode(asked(lists, valid=VALID, clean=CLEAN, large=LARGE), "two")
    assert read == [LARGE]
    for kind in ("jsonl", "bonus.json"):
        assert beside(added, kind) == beside(at_once, kind), kind
    loud = Condition(split="valid", noise="white", snr=0)
    assert run_decode(asked(lists, valid=VALID, loud=loud, clean=CLEAN))[1] == [VALID, loud, CLEAN]


@pytest.mark.parametrize("file", ["jsonl", "loss.csv.gz", "tests.json"])
def test_what_was_damaged_is_decoded_again_and_said(run_decode, asked, file):
    first, _ = run_decode(asked(clean=CLEAN, large=LARGE))
    path = first.with_name(f"{first.stem}.{file}")
    path.write_bytes(path.read_bytes()[:-20] + b" " * 19 + b"\n")
    with pytest.warns(UserWarning, match=r"hypotheses-\w+.* \(what it holds is not used\)"):
        _, read = run_decode(asked(valid=VALID, clean=CLEAN, large=LARGE))
    assert read == [VALID, CLEAN, LARGE]


def test_hypotheses_of_weights_that_were_trained_anew_are_not_used(run_decode, asked):
    first, _ = run_decode(asked(clean=CLEAN))
    outcome = first.parent / "run.json"
    outcome.write_text(outcome.read_text() + "\n")
    with pytest.warns(UserWarning, match="does not belong to this run.json"):
        assert run_decode(asked(clean=CLEAN, large=LARGE))[1] == [CLEAN, LARGE]


def test_a_test_set_that_shares_voices_with_the_training_is_refused(run_decode, more, prepared, tmp_path):
    """Held out from a corpus of another seed, which has set other voices aside."""
    other = more.model_copy(update={"of": more.of.model_copy(update={"seed": 3}), "test": 40, "test_voices": 24})
    folder = tmp_path / "other"
    prepare_tests(other, ("audio",), None, folder)
    asked_ = Decoding(decoders={"greedy": Decoder(kind="greedy")}, conditions={"it": LARGE}, corpora={"more": other})
    with pytest.raises(ValueError, match=r"corpus 'more', a test set: shares voice '.*' with the .* split of 'few'"):
        run_decode(asked_, sets={"more": Prepared(folder, lender=prepared)})


def test_a_record_says_which_test_set_it_was_scored_on_and_has_all_of_it(run_decode, asked, make_run, tests):
    decoding = asked(valid=VALID, clean=CLEAN, large=LARGE)
    made, _ = run_decode(decoding)
    scores = made.parents[2] / "records" / made.parent.name / decoding.scores
    write_record(made.parent, made, scores)
    record = read_record(scores.parent, make_run(), decoding)
    assert record is not None and record.tested.keys() == {"large"}
    told, identity = record.tested["large"], tests["more"].identity
    assert (told.corpus, told.utterances, told.left_out) == ("more", 9, {})
    assert (told.source_hash, told.data_hash) == (identity["source_hash"], identity["data_hash"])
    losses = load_losses(scores)
    assert losses is not None and (losses["condition"] == "large").sum() == 9
    sums = record.scores.groupby("condition").size()
    assert sums["large"] == 2 * 9 and np.isfinite(losses["ctc"]).any()
    assert load_tests(made) == record.tested


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, r"tests.json: is of no condition, expected large \(more\); restore it, or delete"),
        ({"large": {"corpus": "others"}}, r"tests.json: is of large \(others\), expected large \(more\)"),
        (
            {"large": {"utterances": 10}},
            r"decoder 'beam' has 9 utterances under condition 'large', but its corpus 'more'",
        ),
        ({"large": {"utterances": 0}}, r"tests.json: 'large' must have corpus, source_hash, .*; restore it"),
        ({"large": {"source_hash": "1"}}, r"was edited or cut|does not belong"),
    ],
)
def test_a_record_whose_test_set_is_another_is_refused(run_decode, asked, make_run, change, message):
    decoding = asked(clean=CLEAN, large=LARGE)
    made, _ = run_decode(decoding)
    scores = made.parents[2] / "records" / made.parent.name / decoding.scores
    write_record(made.parent, made, scores)
    path = scores.with_name(f"{scores.name.split('.')[0]}.tests.json")
    content = json.loads(path.read_text())
    path.unlink()
    if change is not None:
        write_json(path, {name: content[name] | fields for name, fields in change.items()})
    with pytest.raises(ValueError, match=message) as caught:
        read_record(scores.parent, make_run(), decoding)
    assert "\n" not in str(caught.value)
