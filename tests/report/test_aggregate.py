"""What is read from records, and what is refused."""

import gzip
import subprocess
import sys
from dataclasses import replace

import fabricate
import pandas as pd
import pytest
from valid_records import change

from lrsms.report import aggregate


@pytest.fixture
def study(tmp_path):
    """Two runs with records: dense, and low rank at 0.5."""
    experiments = [experiment for _, experiment in fabricate.demo()[:2]]
    folders = [
        fabricate.record(tmp_path / "records", experiment, fabricate.scores(0.1, number))
        for number, experiment in enumerate(experiments)
    ]
    return experiments, folders


def make(tmp_path, experiments):
    arguments = (tmp_path / "records", tmp_path / "steptime", fabricate.DECODING, tmp_path / "out")
    aggregate.aggregate(experiments, *arguments)
    return aggregate.read_runs(tmp_path / "out"), aggregate.read_speakers(tmp_path / "out")


def test_a_row_per_run_decoder_and_condition_with_the_sums_of_the_scores(tmp_path, study):
    experiments, _ = study
    runs, _ = make(tmp_path, experiments)
    assert len(runs) == 2 * 2 * 2
    scores = fabricate.scores(0.1, 1)
    mine = scores[(scores["decoder"] == "beam") & (scores["condition"] == "test")]
    row = runs[(runs["run"] == experiments[1].name) & (runs["decoder"] == "beam") & (runs["condition"] == "test")].iloc[
        0
    ]
    assert [row[column] for column in aggregate.COUNTS] == [mine[column].sum() for column in aggregate.COUNTS]
    assert (row["utterances"], row["speakers"], row["unit"], row["split"]) == (120, 12, "speaker", "test")
    assert (row["targets"], row["ratio"], row["mapping"], row["init"]) == (
        "encoder.attention",
        "0.5",
        "uniform",
        "spectral",
    )
    assert (row["baseline"], row["status"]) == ("dense", "finished")


def test_speakers_add_up_to_runs(tmp_path, study):
    runs, speakers = make(tmp_path, study[0])
    sums = speakers.groupby(["run", "decoder", "condition"])[["utterances", "words", "edits"]].sum()
    for _, row in runs.iterrows():
        found = sums.loc[(row["run"], row["decoder"], row["condition"])]
        edits = row["substitutions"] + row["deletions"] + row["insertions"]
        assert tuple(found) == (row["utterances"], row["words"], edits)


@pytest.mark.parametrize("names", [("",), ("only",)])
def test_utterances_are_the_units_where_speakers_are_unknown_or_one(tmp_path, names):
    _, experiment = fabricate.demo()[0]
    fabricate.record(tmp_path / "records", experiment, fabricate.scores(0.1, 1, speakers=names))
    runs, speakers = make(tmp_path, [experiment])
    assert set(runs["unit"]) == {"utterance"} == set(speakers["unit"])
    assert len(speakers) == 10 * 4 and set(speakers["utterances"]) == {1}
    assert runs["speakers"].isna().all() if names == ("",) else (runs["speakers"] == 1).all()


def test_the_same_records_give_the_same_bytes(tmp_path, study):
    fabricate.steptime(tmp_path / "steptime", study[0][1])
    make(tmp_path, study[0])
    first = [(tmp_path / "out" / name).read_bytes() for name in ("runs.csv", "speakers.csv")]
    make(tmp_path, study[0])
    assert first == [(tmp_path / "out" / name).read_bytes() for name in ("runs.csv", "speakers.csv")]


def test_other_records_in_the_folder_are_not_read(tmp_path, study):
    runs, _ = make(tmp_path, study[0][:1])
    assert set(runs["run"]) == {study[0][0].name}


def test_a_record_that_lost_a_file_is_refused(tmp_path, study):
    experiments, folders = study
    (folders[1] / "run.json").unlink()
    with pytest.raises(ValueError, match=r"run\.json: is missing from the record; restore it, or delete"):
        make(tmp_path, experiments)


def test_a_missing_record_has_rows_without_numbers(tmp_path, study):
    experiments, folders = study
    (folders[1] / f"scores-{fabricate.DECODING.digest}.csv.gz").unlink()
    runs, speakers = make(tmp_path, experiments)
    rows = runs[runs["run"] == experiments[1].name]
    assert len(rows) == 4 and set(rows["status"]) == {"missing"}
    assert rows[["words", "substitutions", "parameters", "utterances"]].isna().all(axis=None)
    assert experiments[1].name not in set(speakers["run"])


def test_nothing_has_run_yet(tmp_path):
    runs, speakers = make(tmp_path, [experiment for _, experiment in fabricate.demo()])
    assert set(runs["status"]) == {"missing"} and speakers.empty


def test_a_diverged_run_keeps_its_step_and_has_no_scores(tmp_path):
    _, experiment = fabricate.demo()[0]
    empty = fabricate.scores(0.1, 1).iloc[:0]
    fabricate.record(tmp_path / "records", experiment, empty, status="diverged", diverged_at=7)
    runs, _ = make(tmp_path, [experiment])
    assert set(runs["status"]) == {"diverged"} and set(runs["diverged_at"]) == {7}
    assert runs["words"].isna().all() and (runs["parameters"] == fabricate.parameters(experiment)[0]).all()


def test_step_times_become_medians_and_a_paired_ratio(tmp_path, study):
    times = {"baseline_ms": [20.0, 22.0, 24.0], "run_ms": [10.0, 11.0, 12.0]}
    fabricate.steptime(tmp_path / "steptime", study[0][1], **times)
    runs, _ = make(tmp_path, study[0])
    row = runs[runs["run"] == study[0][1].name].iloc[0]
    assert (row["step_ms"], row["baseline_ms"]) == (11, 22)
    assert (row["speedup"], row["speedup_low"], row["speedup_high"]) == (2, 2, 2)
    assert row["steptime_device"] == "CPU, 2 threads, 640 frames, float32"
    assert runs.loc[runs["run"] == study[0][0].name, "speedup"].isna().all()
    fabricate.steptime(tmp_path / "steptime", study[0][1], mode="graphs", **times)
    row = make(tmp_path, study[0])[0].set_index("run").loc[study[0][1].name].iloc[0]
    assert row["steptime_device"] == "CPU, 2 threads, 640 frames, float32, CUDA graphs"


def test_other_axes_become_columns_and_find_their_own_dense_model(tmp_path):
    lowrank = {"targets": (fabricate.ATTENTION,), "ratio": 0.5, "mapping": "linear", "slope": -0.5}
    runs = [fabricate.run(lr=0.001), fabricate.run(lr=0.002), fabricate.run(lowrank, lr=0.002)]
    axes = [{"train.lr": run.train.lr, "lowrank.ratio": None, "train.betas": run.train.betas} for run in runs]
    experiments = [fabricate.experiment(run, axis) for run, axis in zip(runs, axes, strict=True)]
    table, _ = make(tmp_path, experiments)
    rows = table.drop_duplicates("run")
    assert [c for c in table.columns if c not in aggregate.FIXED] == ["train.lr", "train.betas"]
    assert list(rows["train.lr"]) == ["0.001", "0.002", "0.002"] and rows["train.betas"].iloc[0] == "0.9 0.98"
    assert list(rows["baseline"]) == ["", "dense", experiments[1].cell]
    assert rows["mapping"].iloc[2] == "linear -0.5"


def test_a_mix_of_data_is_refused(tmp_path, study):
    experiments, folders = study
    change(folders[1] / "run.json", data_hash="other")
    with pytest.raises(ValueError, match=r"abc .*other, which cannot be compared, as far as is known") as error:
        make(tmp_path, experiments)
    message = str(error.value)
    assert all(experiment.name in message for experiment in experiments) and "\n" not in message
    assert "delete" not in message


def damage_config(folder):
    change(folder / "config.json", seed=9)


def damage_plan(folder):
    (folder / "plan.json").write_text("{}")


def damage_status(folder):
    change(folder / "run.json", status="fine")


def damage_kind(folder):
    change(folder / "run.json", macs_per_second="many")


def damage_json(folder):
    (folder / "run.json").write_text('{"status": "fin')


def damage_scores(folder, edit=lambda table: table):
    path = folder / f"scores-{fabricate.DECODING.digest}.csv.gz"
    edit(pd.read_csv(path)).to_csv(path, index=False)


def damage_gzip(folder):
    path = folder / f"scores-{fabricate.DECODING.digest}.csv.gz"
    path.write_bytes(path.read_bytes()[:200])


def damage_text(folder):
    path = folder / f"scores-{fabricate.DECODING.digest}.csv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b",6,", b",six,")))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_config, r"config\.json: is not the configuration"),
        (damage_plan, r"plan\.json: key 'matrices' is missing"),
        (damage_status, r"run\.json: 'status' is \"fine\", must be 'finished' or 'diverged'"),
        (damage_kind, r"run\.json: 'macs_per_second' is \"many\""),
        (damage_json, r"run\.json: not readable as JSON"),
        (damage_gzip, r"scores-.*\.csv\.gz: not a complete score table"),
        (damage_text, r"scores-.*\.csv\.gz: not a complete score table"),
        (
            lambda f: damage_scores(f, lambda t: t.drop(columns="words")),
            r"scores-.*: not a complete .*expected .*words",
        ),
        (lambda f: damage_scores(f, lambda t: pd.concat([t, t])), r"scores-.*: utterance '00-0', .* is given twice"),
        (lambda f: damage_scores(f, lambda t: t[t["decoder"] != "beam"]), r"scores-.*: no rows for decoder 'beam'"),
        (
            lambda f: damage_scores(f, lambda t: t.iloc[1:]),
            r"decoder 'beam' under condition 'valid' alone has utterance '00-0' of the valid split",
        ),
        (lambda f: damage_scores(f, lambda t: t[t["id"] != "00-0"]), r"different utterances or references"),
    ],
)
def test_a_malformed_record_is_refused_in_one_line_that_names_the_file(tmp_path, study, damage, message):
    damage(study[1][1])
    with pytest.raises(ValueError, match=message) as error:
        make(tmp_path, study[0])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("times", [{"run_ms": [1.0]}, {"baseline_ms": [], "run_ms": []}, {"run_ms": ["x"] * 30}])
def test_a_malformed_step_time_is_refused(tmp_path, study, times):
    path = fabricate.steptime(tmp_path / "steptime", study[0][1], **times)
    with pytest.raises(ValueError, match="delete it to measure again") as error:
        make(tmp_path, study[0])
    assert str(path) in str(error.value)


def test_a_table_that_is_not_ours_is_refused(tmp_path):
    (tmp_path / "runs.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"runs\.csv: column 'run' is missing"):
        aggregate.read_runs(tmp_path)
    with pytest.raises(ValueError, match=r"speakers\.csv: is not there; run the study first"):
        aggregate.read_speakers(tmp_path)


COUNTED = {"parameters": 900_000, "macs_per_second": 2.5e7, "peak_memory_mb": 300.0}


def untrained():
    """The dense model and one of low rank, in a study that trains nothing."""
    return [replace(experiment, trained=False) for _, experiment in fabricate.demo()[:2]]


def test_a_study_without_training_has_a_row_per_run_with_what_its_step_time_file_counts(tmp_path, study):
    """Though there are records: of those, it could show some and not others."""
    fabricate.steptime(tmp_path / "steptime", untrained()[1], **COUNTED)
    runs, speakers = make(tmp_path, untrained())
    assert len(runs) == 2 and speakers.empty and set(runs["decoder"]) == {""}
    dense, lowrank = runs.iloc[0], runs.iloc[1]
    assert dense["status"] == "missing" and pd.isna(dense["parameters"])
    assert lowrank["status"] == "timed" and lowrank["baseline"] == "dense" and lowrank["speedup"] > 1
    assert {key: lowrank[key] for key in COUNTED} == COUNTED


def test_what_an_older_step_time_file_does_not_count_is_unknown(tmp_path):
    fabricate.steptime(tmp_path / "steptime", untrained()[1], macs_per_second=None)
    runs, _ = make(tmp_path, untrained()[1:])
    assert set(runs["status"]) == {"timed"} and runs[list(COUNTED)].isna().all(axis=None)


def test_a_count_that_is_none_is_refused(tmp_path):
    fabricate.steptime(tmp_path / "steptime", untrained()[1], parameters="many")
    with pytest.raises(ValueError, match="'parameters' is \"many\", which has the wrong type"):
        make(tmp_path, untrained())


@pytest.mark.parametrize(
    "content", [{"parameters": -5}, {"parameters": 10**30}, {"macs_per_second": float("nan")}, {"run_ms": [-1.0] * 30}]
)
def test_a_count_or_a_time_that_cannot_be_is_refused(tmp_path, content):
    fabricate.steptime(tmp_path / "steptime", untrained()[1], **content)
    with pytest.raises(ValueError, match=r"must be a number above 0; delete it to measure again") as error:
        make(tmp_path, untrained())
    assert "\n" not in str(error.value)


def test_reporting_does_not_import_torch():
    code = "import sys, lrsms.report.tables, lrsms.report.figures.write; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
