"""Facts about which records compare: by recordings and texts; of one tokenizer's settings, the same tokenizer."""

import json

import fabricate
import pytest

from lrsms.report import aggregate, comparable, remarks
from lrsms.report.tables import write

PIECES = {"kind": "unigram", "pieces": 28}
NOTED = {"data_hash": "d", "manifest_hash": "m", "source_hash": "s", "tokenizer_hash": "t", "streams_hash": "p"}


@pytest.fixture
def study(tmp_path):
    """A maker of records, one for each mapping of hashes; of seeds 1, 2, ..., with pieces where ``pieces`` is said."""

    def make(*noted, pieces=()):
        experiments = []
        for number, hashes in enumerate(noted):
            run = fabricate.run(seed=number + 1)
            content = run.model_dump(mode="json")
            content["tokenizer"] = PIECES if number in pieces else content["tokenizer"]
            run = type(run).model_validate_json(json.dumps(content))
            experiments.append(fabricate.experiment(run, {"tokenizer": run.tokenizer.kind}))
            fabricate.record(tmp_path / "records", experiments[-1], fabricate.scores(0.1, number), **hashes)
        return experiments

    return make


def compare(tmp_path, experiments):
    return comparable.compare(experiments, tmp_path / "records", fabricate.DECODING.scores)


def refusal(tmp_path, experiments):
    with pytest.raises(ValueError, match="records: ") as caught:
        compare(tmp_path, experiments)
    message = str(caught.value)
    assert "\n" not in message and "delete" not in message
    return message


def test_other_tokenizers_compare_on_the_same_recordings(tmp_path, study):
    other = NOTED | {"data_hash": "e", "tokenizer_hash": "u"}
    experiments = study(NOTED, other, pieces=[1])
    assert compare(tmp_path, experiments) == []
    arguments = (tmp_path / "records", tmp_path / "steptime", fabricate.DECODING, tmp_path / "out")
    aggregate.aggregate(experiments, *arguments)
    assert not (tmp_path / "out" / remarks.FILE).exists()


def test_one_tokenizer_s_settings_with_two_tokenizers_do_not_compare(tmp_path, study):
    message = refusal(tmp_path, study(NOTED, NOTED | {"tokenizer_hash": "u"}, NOTED, pieces=[0, 1]))
    assert "have tokenizers of the same settings" in message and "another version of sentencepiece" in message


def test_other_recordings_do_not_compare(tmp_path, study):
    experiments = study(NOTED, NOTED | {"data_hash": "e", "source_hash": "other"})
    message = refusal(tmp_path, experiments)
    assert all(experiment.name in message for experiment in experiments)
    assert "on data s and" in message and "on other, which cannot be compared, of other recordings" in message


def test_old_records_compare_by_what_they_noted(tmp_path, study):
    old = {"data_hash": "d", "manifest_hash": "m"}
    assert compare(tmp_path, study(old, old)) == []


def test_an_old_record_does_not_compare_with_another_preparation(tmp_path, study):
    message = refusal(tmp_path, study({"data_hash": "d"}, NOTED | {"data_hash": "e"}))
    assert "is from before recordings were hashed" in message and "with another seed, which tells" in message


def test_a_record_of_both_hashes_ties_an_old_one_to_the_others_in_any_order(tmp_path, study):
    old, both, elsewhere = {"data_hash": "d"}, NOTED, NOTED | {"data_hash": "e"}
    assert compare(tmp_path, study(old, elsewhere, both)) == []


@pytest.mark.parametrize("damage", ["{", "[]", '{"data_hash": 3}'])
def test_a_malformed_record_is_left_to_who_reads_it(tmp_path, study, damage):
    experiments = study(NOTED, NOTED)
    (tmp_path / "records" / experiments[1].name / "run.json").write_text(damage)
    assert compare(tmp_path, experiments) == []


def test_samples_that_were_prepared_otherwise_are_warned_of_and_noted_below_the_table(tmp_path, study):
    there = NOTED | {"data_hash": "e", "streams_hash": "q"}
    experiments = study(NOTED, there, there)
    arguments = (tmp_path / "records", tmp_path / "steptime", fabricate.DECODING, tmp_path / "out")
    said = f"Data: '{experiments[1].name}' and 1 more prepared other samples"
    with pytest.warns(UserWarning, match="prepared other samples"):
        aggregate.aggregate(experiments, *arguments)
    write(tmp_path / "out")
    assert f"- {said}" in (tmp_path / "out" / "table.md").read_text()
    aggregate.aggregate(experiments[1:], *arguments)
    write(tmp_path / "out")
    assert "Data: " not in (tmp_path / "out" / "table.md").read_text()


def test_utterances_that_were_left_out_are_noted(tmp_path, study):
    (said,) = compare(tmp_path, study(NOTED, NOTED | {"data_hash": "e", "manifest_hash": "n"}))
    assert "left out other utterances of the same corpus" in said
