"""The real workflow on a study of seconds, in a folder with an awkward name: what runs, and above all what does not."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from scratch import CORPUS, PRESET, ROOT, STUDY, planned, snakemake


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the scratch study has run."""
    folder = tmp_path_factory.mktemp("it's a study") / "with $odd; names"
    shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("local.yaml"))
    config = folder / "workflow/config"
    (config / "corpora/small.yaml").write_text(CORPUS)
    (config / "presets/test-asr.yaml").write_text(PRESET)
    (config / "studies/scratch.yaml").write_text(STUDY)
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to be changed."""
    return shutil.copytree(finished, tmp_path / "copy", symlinks=True)


def edit(study: Path, file: str, old: str, new: str) -> None:
    path = study / "workflow/config" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_finished_study_leaves_table_figures_and_records(finished: Path) -> None:
    results, figures = finished / "results/scratch-asr-test-small", finished / "figures/scratch-asr-test-small"
    assert {path.name for path in results.iterdir()} >= {"table.csv", "table.md", "table.tex", "runs.csv"}
    assert {path.suffix for path in figures.iterdir()} == {".pdf", ".png", ".svg", ".rst"}
    records = sorted((finished / "results/records").iterdir())
    assert len(records) == 2
    for record in records:
        assert sum(path.stat().st_size for path in record.iterdir()) < 50_000
        run = json.loads((record / "run.json").read_text())
        assert run["status"] == "finished"
        assert not any(part in json.dumps(run) for part in (str(finished), str(Path.home())))


def test_a_finished_study_has_nothing_to_be_done(finished: Path) -> None:
    done = snakemake(finished)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_one_more_ratio_runs_only_the_new_run(study: Path) -> None:
    edit(study, "studies/scratch.yaml", "[0.5]", "[0.5, 0.25]")
    one_each = dict.fromkeys(("resolve", "train", "decode", "score", "steptime", "aggregate", "tables", "figures"), 1)
    assert planned(study) == one_each


def test_a_decoder_setting_only_decodes(study: Path) -> None:
    edit(study, "config.yaml", "beam: 8", "beam: 4")
    assert planned(study) == {"decode": 2, "score": 2, "aggregate": 1, "tables": 1, "figures": 1}


def add_a_test_set(study: Path) -> None:
    """A condition with a test set of its own, and the same in noise."""
    corpus = "kind: held_out\nof: small\ntest: 8\ntest_voices: 4\n"
    (study / "workflow/config/corpora/more.yaml").write_text(corpus)
    new = "    large: {corpus: more}\n    large_0dB: {corpus: more, noise: babble, snr: 0}\n"
    edit(study, "config.yaml", "  asr:\n    valid: {split: valid}\n", f"  asr:\n    valid: {{split: valid}}\n{new}")


ADDED = {"decode": 2, "score": 2, "aggregate": 1, "tables": 1, "figures": 1}


def test_a_condition_with_a_test_set_of_its_own_prepares_and_decodes_and_trains_nothing(study: Path) -> None:
    add_a_test_set(study)
    assert planned(study) == {"prepare": 1, **ADDED}


def test_a_corpus_that_was_deleted_does_not_have_its_runs_trained_again(study: Path) -> None:
    """Decoding says how to bring it back, and to bring it back is all that is done then."""
    add_a_test_set(study)
    corpus = next((study / "results/corpora").glob("small-*")) / "corpus.json"
    shutil.rmtree(study / "results/corpora")
    assert planned(study) == {"prepare": 1, **ADDED}
    assert planned(study, str(corpus.relative_to(study))) == {"prepare": 1}


def test_recorded_runs_whose_weights_are_gone_are_said_to_be_trained_again(study: Path) -> None:
    add_a_test_set(study)
    assert "trained again" not in snakemake(study, "--dry-run").stderr
    shutil.rmtree(study / "results/runs")
    done = snakemake(study, "--dry-run")
    assert (
        "warning: 2 recorded runs are to be decoded otherwise, but their weights are gone: they would be" in done.stderr
    )
    assert planned(study)["train"] == 2


@pytest.mark.slow
def test_what_was_scored_under_other_conditions_stays_when_one_is_added(study: Path) -> None:
    """Its hypotheses and its score table, which is what the earlier choice of conditions is read from again."""
    runs = sorted((study / "results/runs").iterdir())
    earlier = {run: next(run.glob("hypotheses-*.jsonl")) for run in runs}
    kept = [*(study / "results/records").rglob("scores-*"), *(run / "weights.safetensors" for run in runs)]
    before = {path: path.read_bytes() for path in kept}
    add_a_test_set(study)
    done = snakemake(study)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path: path.read_bytes() for path in kept} == before
    for run, old in earlier.items():
        (new,) = set(run.glob("hypotheses-*.jsonl")) - {old}
        lines, known = new.read_text().splitlines(), old.read_text().splitlines()
        added = [json.loads(line) for line in lines if line not in set(known)]
        assert len(lines) == len(known) + len(added) and len(added) == 2 * 2 * 8
        assert {row["condition"] for row in added} == {"large", "large_0dB"}
        assert "32/32 (100%)" in (run / "decode.log").read_text()
    assert planned(study) == {}
    shutil.copy(ROOT / "workflow/config/config.yaml", study / "workflow/config")
    assert planned(study) == {"aggregate": 1, "tables": 1, "figures": 1}


def test_a_test_set_that_shares_voices_stops_before_any_job(study: Path) -> None:
    add_a_test_set(study)
    other = (study / "workflow/config/corpora/small.yaml").read_text() + "seed: 3\n"
    (study / "workflow/config/corpora/other.yaml").write_text(other)
    corpus = "kind: held_out\nof: other\ntest: 96\ntest_voices: 96\n"
    (study / "workflow/config/corpora/more.yaml").write_text(corpus)
    done = snakemake(study)
    last = (done.stdout + done.stderr).strip().splitlines()[-1]
    assert done.returncode != 0 and last.startswith("error: corpus 'more', a test set: shares voice '"), last


def test_a_comment_in_a_study_runs_nothing(study: Path) -> None:
    edit(study, "studies/scratch.yaml", "grids:", "# as in the paper\ngrids:")
    assert planned(study) == {}


def test_a_recorded_run_is_done_though_its_heavy_files_are_gone(study: Path) -> None:
    shutil.rmtree(study / "results/runs")
    shutil.rmtree(study / "results/corpora")
    assert planned(study) == {}


def test_a_fresh_clone_with_records_trains_exactly_the_new_run(study: Path) -> None:
    for heavy in ("results/runs", "results/corpora", "results/logs", ".snakemake"):
        shutil.rmtree(study / heavy)
    assert planned(study) == {}
    edit(study, "studies/scratch.yaml", "[0.5]", "[0.5, 0.25]")
    plan = planned(study)
    assert (plan["train"], plan["prepare"], plan["steptime"]) == (1, 1, 1)


def test_a_fresh_clone_with_records_alone_makes_tables_without_training(study: Path) -> None:
    for derived in ("results/runs", "results/corpora", "results/scratch-asr-test-small", "figures", ".snakemake"):
        shutil.rmtree(study / derived)
    assert planned(study) == {"aggregate": 1, "tables": 1, "figures": 1}


def test_a_deleted_record_is_scored_again_without_training(study: Path) -> None:
    shutil.rmtree(next((study / "results/records").iterdir()))
    assert planned(study) == {"score": 1, "aggregate": 1, "tables": 1, "figures": 1}


def test_an_earlier_choice_of_runs_brings_the_earlier_table_back(study: Path) -> None:
    """The records are all there; only what is read of them changes."""
    edit(study, "studies/scratch.yaml", "  - seed: [1]\n", "")
    assert planned(study) == {"aggregate": 1, "tables": 1, "figures": 1}


def test_a_verb_that_fails_fails_its_job(study: Path) -> None:
    """Though its output goes through tee."""
    for folder in ("records", "runs"):
        shutil.rmtree(study / "results" / folder)
    next((study / "results/corpora").glob("*/audio.npy")).write_bytes(b"")
    done = snakemake(study)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "error: results/corpora/" in output and "is torn" in output
    assert "completed successfully" not in output


def test_another_order_of_decoders_shows_another_decoder_first(study: Path) -> None:
    edit(study, "config.yaml", "decoders:\n  greedy: {kind: greedy}\n", "decoders:\n")
    edit(study, "config.yaml", "decoders_of:\n", "  greedy: {kind: greedy}\ndecoders_of:\n")
    assert planned(study) == {"aggregate": 1, "tables": 1, "figures": 1}


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("studies/scratch.yaml", "lowrank.ratio: [0.5]", "lowrank.ratoi: [0.5]", "did you mean 'lowrank.ratio'?"),
        ("studies/scratch.yaml", "[0.5]", "[1.5]", "'lowrank.ratio' is 1.5"),
        ("studies/scratch.yaml", "encoder.attention", "encoder.atention", "did you mean 'encoder.attention'?"),
        ("config.yaml", "roots: {}", "rots: {}", "did you mean 'roots'?"),
        ("presets/test-asr.yaml", "dim: 16", "dim: wide", "'model.dim' is \"wide\""),
    ],
)
def test_a_mistake_stops_before_any_job_with_one_line(study: Path, file: str, old: str, new: str, said: str) -> None:
    edit(study, file, old, new)
    done = snakemake(study)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: ") and said in last
    assert "Traceback" not in output
    assert "localrule" not in output


@pytest.mark.parametrize("target", ["pages", "regenerate"])
@pytest.mark.slow
def test_what_is_made_from_records_is_not_held_up_by_a_run_that_cannot_be_made(study: Path, target: str) -> None:
    """Though the study's own are."""
    edit(study, "studies/scratch.yaml", "encoder.attention", "encoder.atention")
    assert snakemake(study).returncode != 0
    done = snakemake(study, target, "--force")
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_checked_where_every_run_is_recorded(study: Path) -> None:
    """Seen by a check that always fails."""
    rules = study / "workflow/rules/common.smk"
    rules.write_text(rules.read_text().replace('"lrsms", "check"', '"lrsms", "chekc"'))
    shutil.rmtree(study / "figures")
    assert snakemake(study).returncode == 0
    shutil.rmtree(next((study / "results/records").iterdir()))
    done = snakemake(study)
    assert done.returncode != 0 and "invalid choice: 'chekc'" in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("host", [socket.gethostname(), "elsewhere"])
def test_a_lock_that_was_left_behind_is_taken_away_or_explained(study: Path, host: str) -> None:
    """By a Snakemake that was killed, on this machine or on another."""
    shutil.rmtree(study / "figures")
    state = study / ".snakemake"
    for name in ("locks", "holders"):
        (state / name).mkdir(exist_ok=True)
    outputs = [path.relative_to(study) for path in (study / "results").rglob("*") if path.is_file()]
    (state / "locks/0.output.lock").write_text("".join(f"{path}\n" for path in outputs))
    note = {"host": host, "pid": 999_999_999, "began": 1.8e9, "cluster": False}
    (state / "holders/dead.json").write_text(json.dumps(note))
    done = snakemake(study, "--quiet", "all")
    if host == "elsewhere":
        assert done.returncode != 0 and "holds this folder; if it has ended, unlock the folder" in done.stderr
        assert snakemake(study, "--unlock").returncode == 0
        assert snakemake(study).returncode == 0
    else:
        assert done.returncode == 0 and "the folder is unlocked" in done.stderr, done.stderr
    assert not list(state.glob("locks/*")) and not list(state.glob("holders/*"))


def test_an_unknown_study_names_the_nearest(finished: Path) -> None:
    done = snakemake(finished, study="scrach")
    assert done.returncode != 0
    assert "did you mean 'scratch'?" in done.stdout + done.stderr


def test_the_report_is_one_page_with_captions(study: Path) -> None:
    done = snakemake(study, "--report", "report.html")
    assert done.returncode == 0, done.stderr
    page = (study / "report.html").read_text()
    assert "wer_by_ratio" in page
    assert "fraction of full rank that is kept" in page


@pytest.mark.parametrize("way", ["directory", "module"])
def test_elsewhere_one_line_says_where_to_run(tmp_path, way):
    snakefile = ROOT / "workflow/Snakefile"
    (tmp_path / "Snakefile").write_text(
        f"module other:\n    snakefile: {str(snakefile)!r}\n    config: config\n\nuse rule * from other\n"
    )
    where = ["--snakefile", str(snakefile), "--directory", str(tmp_path)] if way == "directory" else []
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--quiet", "all", *where]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    said = f"error: run Snakemake in {ROOT}, the root folder of the clone, not in {tmp_path}: it is no module"
    assert [line for line in done.stderr.splitlines() if "error" in line] == [said]


@pytest.mark.slow
def test_portable_kernels_reach_the_jobs(study: Path) -> None:
    shutil.rmtree(study / "results")
    (study / "workflow/config/local.yaml").write_text("portable: true\n")
    done = snakemake(study)
    assert done.returncode == 0, done.stdout + done.stderr
    for run in (study / "results/records").iterdir():
        assert json.loads((run / "run.json").read_text())["provenance"]["portable"] is True
