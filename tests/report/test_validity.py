"""A record that says what cannot be is refused in one line; records that are too much alike are told of."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import fabricate
import pandas as pd
import pytest
from valid_records import SCORES, SESSION, TOOK, change, make, refusal, rewrite, sealed

from lrsms.record import seal
from lrsms.record.decoding_times import times_path
from lrsms.record.score import align
from lrsms.report import sums, tables
from lrsms.study.expand import Experiment

SIZE, DENSE = fabricate.parameters(fabricate.demo()[1][1])


def test_a_whole_record_is_read_with_fields_that_are_not_known(study, tmp_path) -> None:
    make(*study[:1], tmp_path)
    assert not (tmp_path / "out/remarks.txt").exists()


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        ("parameters", -5, f"must be {SIZE:,}, as its configuration has"),
        ("parameters", SIZE // 100, f"must be {SIZE:,}"),
        ("parameters", 10**30, f"must be {SIZE:,}"),
        ("parameters", float(SIZE), f"must be {SIZE:,}"),
        ("parameters_dense", 2 * DENSE, f"must be {DENSE:,}"),
        ("factorised", None, "'factorised' is null"),
        ("matrices", [], "'matrices' has no 'ctc'"),
        ("matrices", 7, "must be a list of matrices"),
    ],
)
def test_parameters_are_counted_again(study, key, value, right) -> None:
    change(study[1] / "plan.json", **{key: value})
    assert right in refusal(study, study[1] / "plan.json")


@pytest.mark.parametrize(
    ("key", "value"), [("ranks", [96, 96, 96]), ("rows", 97), ("role", "x"), ("layers", [0, 1, True])]
)
def test_shapes_and_ranks_are_those_of_the_configuration(study, key, value) -> None:
    matrices = json.loads((study[1] / "plan.json").read_text())["matrices"]
    index = next(i for i, entry in enumerate(matrices) if entry["name"].endswith("attention.out"))
    matrices[index][key] = value
    change(study[1] / "plan.json", matrices=matrices)
    assert f"'matrices.encoder.blocks.*.attention.out.{key}' is " in refusal(study, study[1] / "plan.json")


def test_another_vocabulary_than_other_runs_have_is_refused(study) -> None:
    experiment, folder = study[0][1], study[1]
    (folder / "plan.json").write_text(json.dumps(fabricate.plan_of(experiment.run, fabricate.VOCABULARY + 1)))
    (folder / "spectra.json").unlink()
    said = refusal_of_two(study)
    assert said == (
        f"{folder / 'plan.json'}: has a vocabulary of 31, but '{study[0][0].name}' has 30 of the same transcripts; "
        "delete the record that is wrong, to run it again"
    )


def refusal_of_two(study: tuple[list[Experiment], Path]) -> str:
    with pytest.raises(ValueError, match="delete the record that is wrong") as error:
        make(study[0], study[1].parents[1])
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"status": "fine"}, "'status' is \"fine\", must be 'finished' or 'diverged'"),
        ({"status": ["finished"]}, "'status' is "),
        ({"status": "diverged", "diverged_at": 11}, "'diverged_at' is 11, must be a whole number from 1 to 10"),
        ({"diverged_at": 4}, "'diverged_at' is 4, must be null, since 'status' is 'finished'"),
        ({"steps": 9}, "'steps' is 9, must be 10, as config.json has"),
        ({"data_hash": 5}, "'data_hash' is 5, must be a text"),
        ({"macs_per_second": -1.0}, "'macs_per_second' is -1.0, must be a number from "),
        ({"macs_per_second": 1e30}, "'macs_per_second' is 1e+30, must be "),
        ({"macs_per_second": float("nan")}, "holds a number that is not finite"),
        ({"peak_memory_mb": float("inf")}, "holds a number that is not finite"),
        ({"peak_memory_mb": 0}, "'peak_memory_mb' is 0, must be a number from 2."),
        ({"peak_memory_mb": 1e15}, "'peak_memory_mb' is 1000000000000000.0, must be"),
        ({"peak_memory_mb": 10**400}, "'peak_memory_mb' is 1000"),
        ({"seconds": -3.0}, "'seconds' is -3.0, must be a number from 0"),
        ({"seconds": 51.0}, "'seconds' is 51.0, must be a number from 49.999 to 50.001, the sum of its sessions"),
        ({"waited": 1.5}, "'waited' is 1.5, must be a number from 0 to 1"),
        ({"resumed_at": 3}, "'resumed_at' is 3, must be 0, where its last session begins"),
        ({"threads": True}, "'threads' is true, must be a whole number"),
        ({"device": " "}, "'device' is \" \", must be a text"),
        ({"device": "\ud800"}, "holds half of a character"),
        ({"sessions": []}, "'sessions' is [], must be a list of at least one session"),
        ({"sessions": [SESSION | {"start": 2}]}, "'sessions.0.start' is 2, must be 0"),
        ({"sessions": [SESSION | {"seconds": "1"}]}, "'sessions.0.seconds' is \"1\""),
        ({"sessions": [7]}, "'sessions.0' is 7, must be an object"),
        ({"provenance": "me"}, "'provenance' is \"me\", must be an object"),
    ],
)
def test_every_field_of_an_outcome_is_in_its_range_and_agrees_with_the_others(study, content, said) -> None:
    change(study[1] / "run.json", **content)
    assert said in refusal(study, study[1] / "run.json")


def test_full_scores_of_a_diverged_run_are_refused(study) -> None:
    change(study[1] / "run.json", status="diverged", diverged_at=7)
    assert "has scores, but 'status' in run.json is 'diverged'" in refusal(study, study[1] / SCORES)


def test_costs_of_one_network_are_those_of_its_other_runs(tmp_path) -> None:
    experiments = [experiment for _, experiment in fabricate.demo((1, 2))[:2]]
    for number, experiment in enumerate(experiments):
        fabricate.record(tmp_path / "records", experiment, fabricate.scores(0.1, number))
    path = tmp_path / "records" / experiments[1].name / "run.json"
    change(path, macs_per_second=json.loads(path.read_text())["macs_per_second"] * 1.2)
    with pytest.raises(ValueError, match=r"'macs_per_second' is .*, a run of the same network, has .*e\+07; delete"):
        make(experiments, tmp_path)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda curve: curve.iloc[1:], "'step' is [10], must be 5, 10, the snapshots of its 10 steps"),
        (lambda curve: curve.assign(step=[4, 10]), "'step' is [4, 10], must be 5, 10"),
        (lambda curve: curve.assign(loss=float("nan")), "'loss' at step '5' is NaN, must be a number"),
        (lambda curve: curve.assign(valid_wer=-0.5), "'valid_wer' at step '5' is -0.5"),
        (lambda curve: curve.assign(lr=1.0), "'lr' at step '5' is 1.0"),
        (lambda curve: curve.assign(frames=10**9), "'frames' at step '5' is 1000000000.0"),
        (lambda curve: curve.assign(frames=[900, 800]), "'frames' is [900, 800], must be never less"),
        (lambda curve: curve.assign(attention=1.0), "'attention' at step '5' is 1.0, must be empty"),
    ],
)
def test_a_curve_is_of_the_runs_snapshots(study, edit, said) -> None:
    path = study[1] / "curve.csv"
    edit(pd.read_csv(path)).to_csv(path, index=False)
    assert said in refusal(study, path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("ranks", [5, 5, 5], "'matrices.0.ranks' is [5, 5, 5], must be "),
        ("largest", [-1.0] * 3, "'matrices.0.largest.0' is -1.0"),
        ("stable_ranks", [1e9] * 3, "'matrices.0.stable_ranks.0' is 1000000000.0"),
        ("energy_ranks", [], "'matrices.0.energy_ranks.0' is null"),
        ("values", [[1.0, 0.5]] * 3, "'matrices.0.values.0' is [1.0, 0.5], must be "),
        ("values", "rising", "must be from 1 down to 0, never rising"),
    ],
)
def test_spectra_are_of_the_plans_matrices(study, key, value, said) -> None:
    path = study[1] / "spectra.json"
    matrices = json.loads(path.read_text())["matrices"]
    size = min(matrices[0]["rows"], matrices[0]["columns"])
    if value == "rising":
        value = [[*range(len(json.loads(path.read_text())["indices"][str(size)]))]] * len(matrices[0]["layers"])
    change(path, matrices=[matrices[0] | {key: value}, *matrices[1:]])
    assert said in refusal(study, path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"conditions": {"valid": TOOK | {"audio_seconds": 0}}}, "'conditions.valid.audio_seconds' is 0"),
        ({"conditions": {"valid": TOOK | {"search_seconds": {"beam": 1}}}}, "search_seconds.greedy' is missing"),
        ({"conditions": {"other": TOOK}}, "'conditions.other' was not asked for"),
        ({"conditions": None}, "'conditions' is null, must be an object"),
        ({"threads": 0}, "'threads' is 0"),
    ],
)
def test_times_are_of_what_was_decoded(study, content, said) -> None:
    path = times_path(study[1] / SCORES)
    change(path, **content)
    assert said in refusal(study, path)


def first(table: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """The table with other values in its first row, without alignments, which would contradict them first."""
    table = table.drop(columns="alignment")
    for name, value in values.items():
        table.loc[0, name] = value
    return table


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda table: first(table, words=-1), "utterance '00-0', decoder 'greedy', condition 'valid', has negative"),
        (lambda table: first(table, insertions=10**9), "has counts that no utterance has"),
        (lambda table: first(table, substitutions=7, character_edits=9), "has more words wrong than it has"),
        (lambda table: first(table, characters=3), "has fewer characters than its words"),
        (lambda table: first(table, substitutions=0, character_edits=4), "has errors of words without errors of"),
        (lambda table: first(table, speaker="s99"), "has another reference or speaker of utterance '00-0'"),
        (lambda table: first(table, characters=26), "has another reference or speaker of utterance '00-0'"),
        (lambda table: table.replace({"decoder": {"beam": "bean"}}), "no rows for decoder 'beam'"),
        (
            lambda table: table.iloc[:-1],
            "decoder 'beam' under condition 'test' lacks utterance '11-9' of the test split",
        ),
    ],
)
def test_scores_are_of_each_utterance_once_with_counts_that_can_be(study, edit, said) -> None:
    rewrite(study[1] / SCORES, edit)
    with pytest.raises(ValueError, match=r"scores-") as error:
        make(study[0], study[1].parents[1])
    assert said in str(error.value) and "\n" not in str(error.value)


def test_other_references_than_other_runs_have_are_refused(study) -> None:
    rewrite(study[1] / SCORES, lambda table: table.assign(characters=26))
    with pytest.raises(ValueError, match="were scored on different utterances or references"):
        make(study[0], study[1].parents[1])


def test_a_table_that_unzips_to_more_than_any_is_not_read_to_its_end(study) -> None:
    path = study[1] / SCORES
    content = gzip.decompress(path.read_bytes())
    with gzip.open(path, "wb") as file:
        file.write(content)
        for _ in range(64):
            file.write(bytes(2**20))
    with pytest.raises(ValueError, match=r"scores-.*: not a complete score table \(more than [\d,]+ bytes unzipped"):
        make(study[0], study[1].parents[1])


def test_a_copy_of_anothers_scores_is_told_of_in_the_table_and_beside_it(study, tmp_path) -> None:
    dense, folder = study[1].parent / study[0][0].name, study[1]
    shutil.copy(dense / SCORES, folder / SCORES)
    with pytest.warns(UserWarning, match="made the same errors in every utterance, by every decoder") as caught:
        out = make(study[0], tmp_path)
    said = str(caught[0].message)
    assert all(f"'{experiment.name}'" in said for experiment in study[0])
    tables.write(out)
    assert f"- Warning: {said}" in (out / "table.md").read_text()
    rewrite(folder / SCORES, lambda table: fabricate.scores(0.3, 9))
    tables.write(make(study[0], tmp_path))
    assert "Warning" not in (out / "table.md").read_text() and not (out / "remarks.txt").exists()


@pytest.mark.parametrize("name", ["run.json", "plan.json", "curve.csv", "spectra.json", SCORES])
def test_what_was_sealed_together_stays_together(study, tmp_path, name) -> None:
    """A blank more, or another record's file, changes nothing that can be checked otherwise."""
    sealed(study[1])
    make(study[0], tmp_path)
    path = study[1] / name
    if name == SCORES:
        shutil.copy(study[1].parent / study[0][0].name / SCORES, path)
    elif name == "curve.csv":
        path.write_text(path.read_text().replace(",0.", ",0.0", 1))
    else:
        path.write_text(path.read_text() + " ")
    with pytest.raises(ValueError, match=rf"{SCORES}: .*since scores-\w+\.seal\.json was written.*; restore it"):
        make(study[0], tmp_path)


def test_a_seal_does_not_move_with_the_scores_of_another_run(study, tmp_path) -> None:
    dense = study[1].parent / study[0][0].name
    for folder in (dense, study[1]):
        sealed(folder)
    for path in (dense / SCORES, seal.seal_path(dense / SCORES)):
        shutil.copy(path, study[1] / path.name)
    with pytest.raises(ValueError, match=r"does not belong to this config\.json"):
        make(study[0], tmp_path)


@pytest.mark.parametrize("name", ["runs.csv", "speakers.csv", "pairs.csv"])
@pytest.mark.parametrize(
    "damage", [lambda content: content[:-40], lambda content: content.replace(b"beam", b"bean", 1)]
)
def test_an_aggregate_that_was_cut_or_changed_is_refused(study, tmp_path, name, damage) -> None:
    path = make(study[0], tmp_path) / name
    content = path.read_bytes()
    path.write_bytes(damage(content))
    with pytest.raises(ValueError, match=rf"{name}: is not as it was aggregated: .*; delete it to aggregate again"):
        tables.write(tmp_path / "out")
    path.write_bytes(content)
    tables.write(tmp_path / "out")
    (tmp_path / "out" / sums.FILE).write_text("nonsense\n")
    with pytest.raises(ValueError, match="SHA256SUMS: is not a list of checksums"):
        tables.write(tmp_path / "out")


def test_words_of_the_worst_utterances_are_those_that_were_scored(study, tmp_path) -> None:
    from lrsms.record.worst import worst_path

    table = pd.read_csv(study[1] / SCORES, keep_default_na=False)
    row = table[table["substitutions"] == 1].iloc[0]
    words = [letter.lower() * (place + 1) for place, letter in enumerate(row["alignment"])]
    heard = ["x" if letter == "S" else word for letter, word in zip(row["alignment"], words, strict=True)]
    assert align(" ".join(words), " ".join(heard)).letters == row["alignment"]
    path = worst_path(study[1] / SCORES)
    kept = {"id": row["id"], "reference": " ".join(words), "hypothesis": " ".join(heard)}
    path.write_text(json.dumps({row["decoder"]: {row["condition"]: [kept]}}))
    make(study[0], tmp_path)
    path.write_text(json.dumps({row["decoder"]: {row["condition"]: [kept | {"hypothesis": "x"}]}}))
    assert "has other words than its alignment" in refusal(study, path)
    path.write_text("{}}")
    with pytest.raises(ValueError, match=r"worst\.json: not readable as JSON"):
        make(study[0], tmp_path)
