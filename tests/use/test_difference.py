"""Facts about the difference of two runs: what is counted is what the score tables say."""

import json

import fabricate
import pytest

from lrsms.__main__ import main
from lrsms.record import hypotheses
from lrsms.record.losses import write_losses
from lrsms.statistics.mapsswe import mapsswe
from lrsms.use import difference

KEY = "beam", "test"


@pytest.fixture
def sides(tmp_path):
    """Two records: a dense run and one of low rank, which makes more errors."""
    runs = fabricate.run(), fabricate.run({"targets": (fabricate.ATTENTION,), "ratio": 0.25})
    for number, (run, rate) in enumerate(zip(runs, (0.1, 0.2), strict=True)):
        scores = fabricate.scores(rate, number)
        record = fabricate.record(tmp_path / "records", fabricate.experiment(run), scores, manifest_hash="m")
        write_losses(record / fabricate.DECODING.scores, fabricate.losses(scores))
    return [difference.load(tmp_path / "records" / fabricate.experiment(run).name) for run in runs]


def test_fields_that_differ_are_named_with_both_values(sides):
    a, b = sides
    assert difference.configuration(a.run, a.run) == {}
    found = difference.configuration(a.run, b.run)
    assert found["lowrank.ratio"] == ("", "0.25") and found["lowrank.targets"] == ("", "encoder.attention")
    assert not any(field.startswith(("train", "model")) for field in found)


def test_counts_are_those_of_the_tables(sides, tmp_path):
    a, b = sides
    errors = difference.errors(a, b, tmp_path / "runs")
    assert set(errors) == {(decoder, condition) for decoder in ("beam", "greedy") for condition in ("test", "valid")}
    one, two = (fabricate.scores(rate, number) for number, rate in ((0, 0.1), (1, 0.2)))
    one, two = (part[(part["decoder"] == "beam") & (part["condition"] == "test")] for part in (one, two))
    found = errors[KEY]
    assert found.rates == pytest.approx([part["substitutions"].sum() / part["words"].sum() for part in (one, two)])
    assert found.interval.low <= found.rates[1] - found.rates[0] <= found.interval.high
    assert found.test == mapsswe(list(one["alignment"]), list(two["alignment"]))
    right_a, right_b = (set(part["id"][part["substitutions"] == 0]) for part in (one, two))
    only_a, only_b = found.flipped()
    assert set(only_a.index) == right_a - right_b and set(only_b.index) == right_b - right_a
    speakers = found.by_speaker()
    assert speakers["a"].sum() == one["substitutions"].sum() and len(speakers) == len(fabricate.SPEAKERS)
    rates = ((speakers["b"] - speakers["a"]) / speakers["words"]).abs()
    assert rates.is_monotonic_decreasing


def test_words_are_known_where_records_keep_them(sides, tmp_path):
    a, b = sides
    table = a.record / fabricate.DECODING.scores
    rows = fabricate.scores(0.1, 0)
    row = rows[(rows["decoder"] == "beam") & (rows["condition"] == "test") & (rows["substitutions"] > 0)].iloc[0]
    reference = "one two one four five six"
    said = [word if letter == "C" else "x" for word, letter in zip(reference.split(), row["alignment"], strict=True)]
    kept = {"id": row["id"], "reference": reference, "hypothesis": " ".join(said)}
    path = table.with_name(table.name.replace(".csv.gz", ".worst.json"))
    path.write_text(json.dumps({"beam": {"test": [kept]}}))
    found = difference.errors(a, b, tmp_path / "runs")[KEY]
    assert list(found.said) == [row["id"]]
    words = found.by_word(a.run)
    assert words.loc["one", "times"] == 2 and words["times"].sum() == 6
    assert words["a"].sum() == row["substitutions"]


def test_the_words_of_another_training_are_not_shown(sides, tmp_path):
    """A run's folder may have been trained again since its record was made, or its record come from elsewhere."""
    a, b = sides
    rows = fabricate.scores(0.2, 1)
    said = [{**dict.fromkeys(("reference", "hypothesis"), "one " * words), **row} for words, row in _spoken(rows)]
    folder = tmp_path / "runs" / b.name
    folder.mkdir(parents=True)
    for own, known in ((True, True), (False, False)):
        outcome = json.loads((b.record / "run.json").read_text()) | ({} if own else {"seconds": 1.5})
        (folder / "run.json").write_text((b.record / "run.json").read_text() if own else json.dumps(outcome))
        hypotheses.write(folder / fabricate.DECODING.hypotheses, said, folder)
        assert bool(difference.errors(a, b, tmp_path / "runs")[KEY].said) is known


def _spoken(rows):
    keys = ["decoder", "condition", "id", "speaker"]
    return [(row["words"], {key: row[key] for key in keys}) for row in rows.to_dict("records")]


def test_a_run_has_no_difference_from_itself(sides, tmp_path):
    found = difference.errors(sides[0], sides[0], tmp_path / "runs")[KEY]
    assert found.test.p == 1 and all(part.empty for part in found.flipped())


def test_tables_of_other_utterances_are_refused(sides, tmp_path):
    a, _ = sides
    run = fabricate.run(seed=2)
    scores = fabricate.scores(0.1, 3, fabricate.SPEAKERS[:5])
    fabricate.record(tmp_path / "records", fabricate.experiment(run), scores, manifest_hash="m")
    other = difference.load(tmp_path / "records" / fabricate.experiment(run).name)
    with pytest.raises(ValueError, match="are of other utterances or references, which do not compare"):
        difference.errors(a, other, tmp_path / "runs")


def test_the_verb_prints_all_of_it(sides, tmp_path, capsys):
    names = [side.name for side in sides]
    assert main(["compare", "--records", str(tmp_path / "records"), *names]) == 0
    out = capsys.readouterr().out
    for text in (*names, "lowrank.ratio", "Curve: WER on validation", "MAPSSWE", "By speaker", "Only A has right"):
        assert text in out
    assert main(["compare", "--records", str(tmp_path / "records"), names[0], "none"]) == 1
    assert "is no record of a run" in capsys.readouterr().err
    assert main(["compare", "--records", str(tmp_path / "records"), *names, "--decoder", "bean"]) == 1
    assert "there are: beam test" in capsys.readouterr().err
