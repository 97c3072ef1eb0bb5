import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from scratch import PRESET, scratch_project, shipped_project

from lrsms.__main__ import _parser
from lrsms.report.results import folder_name, load_project
from lrsms.study import expand
from lrsms.watch import kept_results as reference_lists
from lrsms.watch.kept_results import Goal, keep, load, pack

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "workflow/config"
LISTS = """
own:
  - {study: scratch, task: asr, scale: test, corpus: small, seeds: [1]}
"""


def reference(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "lrsms", "reference", "own", *arguments, "--snakemake", "--cores", "2"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", ["cpu", "speech", "gpu", "f6", "lease", "lease_speech", "arena"])
def test_every_entry_of_the_lists_has_runs(name: str) -> None:
    goals = load(name, shipped_project(), CONFIG)
    assert goals
    assert all(goal.files for goal in goals)


def test_an_entry_is_the_dense_baseline_and_the_cells_it_names_seed_by_seed(tmp_path: Path) -> None:
    config = scratch_project(
        tmp_path,
        "own: [{study: lrsms, task: asr, scale: tiny, corpus: commands, seeds: [1, 3],"
        " cells: [{lowrank.ratio: 0.25}, {lowrank: null, model.dim: smaller}]}]",
    )
    (goal,) = load("own", shipped_project(), config)
    names = {e.name: e for e in expand.load(goal.project, config)}
    chosen = [names[path.parent.name] for path in goal.files if path.parent.name in names]
    assert [e.run.seed for e in chosen] == [1, 1, 1, 3, 3, 3]
    assert [e.run.lowrank is None for e in chosen[:3]] == [True, False, True]
    assert chosen[2].run.model.dim < chosen[0].run.model.dim
    assert len([path for path in goal.files if path.parent.name == "steptime"]) == 3


def test_an_entry_may_ask_for_more_seeds_and_what_is_kept_remembers_them(tmp_path: Path) -> None:
    entry = "{study: scratch, task: asr, scale: test, corpus: small, timed: false, cells: [{lowrank.ratio: 0.5}]"
    lists = f"own: [{entry}, num_seeds: 3}}, {entry}, num_seeds: 2}}, {entry}}}]"
    config = scratch_project(tmp_path, lists)
    goals = load("own", shipped_project(config), config)
    seeds = [[e.run.seed for e in goal.experiments] for goal in goals]
    assert seeds == [[1, 1, 2, 2, 3, 3], [1, 1, 2, 2], [1, 1]]
    assert any(argument.startswith('seeds={"dense": 3') for argument in reference_lists._command(goals[0], ()))
    assert not any(argument.startswith("seeds=") for argument in reference_lists._command(goals[2], ()))
    done = [replace(goal, files=()) for goal in goals]
    for goal in done:  # whatever comes last, no seed is forgotten
        keep([goal], tmp_path)
    project = load_project(tmp_path / folder_name(goals[0].project))
    assert project.seeds == {"dense": 3, "encoder.attention-0.5": 3}
    assert len(expand.load(project, config)) == 6


def test_a_study_is_kept_once_a_run_of_its_own_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dense baseline is many studies' own: its record alone begins none of them."""
    entry = "{study: scratch, task: asr, scale: test, corpus: small, timed: false}"
    config = scratch_project(tmp_path, f"own: [{entry}]")
    monkeypatch.chdir(tmp_path)
    (goal,) = load("own", shipped_project(config), config)
    dense, lowrank = goal.files
    place = Path("results") / folder_name(goal.project)
    for path, begun in ((dense, False), (lowrank, True)):
        path.parent.mkdir(parents=True)
        path.touch()
        keep([goal], Path("results"))
        assert goal.begun is (place / "project.json").is_file() is begun


def test_an_entry_may_name_the_cell_of_a_ratio_for_each_target(tmp_path: Path) -> None:
    what = "study: lrsms_twins, task: asr, scale: tiny, corpus: commands"
    entry = f"{{{what}, seeds: [1], cells: [{{lowrank.ratio: by_target}}]}}"
    (goal,) = load("own", shipped_project(), scratch_project(tmp_path, f"own: [{entry}]"))
    dense, by_target = (e.run.lowrank for e in goal.experiments)
    assert dense is None and by_target is not None and len(set(by_target.ratio.values())) == 2


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ("other: []", "no list 'own'; known: other"),
        ("own: {study: pair}", "'own' must be a list"),
        (
            "own: [{study: pair, task: asr, scale: tiny, corpus: commands, cells: [{seed: 7}]}]",
            "entry 1: .*no cell",
        ),
        ("own: [{study: pair, task: asr, scale: tiny, corpus: commands, seeds: [9]}]", "no run with these seeds"),
        ("own: [{study: pear, task: asr, scale: tiny, corpus: commands}]", "no study 'pear'.*did you mean 'pair'"),
        ("own: [{study: pair, task: asr, scale: tiny}]", "entry 1: .*corpus"),
    ],
)
def test_a_list_that_asks_for_nothing_is_refused_in_one_line(tmp_path: Path, lists: str, message: str) -> None:
    config = scratch_project(tmp_path, lists)
    with pytest.raises(ValueError, match=message) as caught:
        load("own", shipped_project(), config)
    assert "\n" not in str(caught.value)


def test_options_of_the_verb_are_its_own_and_the_last_are_snakemakes() -> None:
    words = ["reference", "own", "--seconds", "60", "--pack", "a.tar.gz", "--snakemake", "--cores", "2", "--quiet"]
    options = _parser().parse_args(words)
    assert (options.list, options.seconds, options.pack) == ("own", 60.0, Path("a.tar.gz"))
    assert options.snakemake == ["--cores", "2", "--quiet"]


def test_a_workflow_that_fails_before_the_time_is_up_is_told_from_one_that_ends_with_it() -> None:
    code = "import signal, time; signal.signal(signal.SIGUSR1, signal.SIG_IGN); time.sleep(60)"
    began = time.monotonic()
    assert not reference_lists._run_until(began + 60, [sys.executable, "-c", "raise SystemExit(1)"])
    assert reference_lists._run_until(began + 60, [sys.executable, "-c", ""])
    assert reference_lists._run_until(time.monotonic() + 1, [sys.executable, "-c", code])


def test_a_job_that_was_only_starting_when_time_was_up_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_lists, "_GRACE", 0.5)
    code = """
import signal, sys, time
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
time.sleep(2)
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))
time.sleep(600)
"""
    assert reference_lists._run_until(time.monotonic() + 1, [sys.executable, "-c", code])


def test_who_is_ended_leaves_no_workflow_behind(tmp_path: Path) -> None:
    job = tmp_path / "job"
    work = f"import os, time; open({str(job)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    code = f"""
import sys
from lrsms.watch.kept_results import _run_until
_run_until(float("inf"), [sys.executable, "-c", {work!r}])
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (job.is_file() and job.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(job.read_text()), 0)


def test_an_archive_holds_whole_records_and_nobodys_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = [
        Path("results/records/a/scores-1.csv.gz"),
        Path("results/records/a/run.json"),
        Path("results/steptime/b.json"),
    ]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    pack(
        [Goal(shipped_project(), (files[0], files[2], Path("results/records/c/scores-1.csv.gz")))],
        Path("results"),
        Path("back"),
    )
    with tarfile.open("back") as archive:
        members = archive.getmembers()
    assert {member.name for member in members if member.isfile()} == set(map(str, files))
    assert {(member.uname, member.gname) for member in members} == {("", "")}


def test_an_archive_is_whole_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is lent may go while it is written; and its folder need not be there."""
    monkeypatch.chdir(tmp_path)
    path = Path("results/steptime/b.json")
    path.parent.mkdir(parents=True)
    path.touch()
    goals, archive = [Goal(shipped_project(), (path,))], Path("out/back.tar.gz")
    pack(goals, Path("results"), archive)
    before = archive.read_bytes()

    def ends(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "add", ends)
    with pytest.raises(OSError, match="No space left"):
        pack(goals, Path("results"), archive)
    assert archive.read_bytes() == before and list(archive.parent.iterdir()) == [archive]


@pytest.mark.slow
def test_records_that_were_packed_make_the_same_tables_elsewhere(tmp_path: Path) -> None:
    scratch_project(tmp_path / "gpu", LISTS)
    assert reference(tmp_path / "gpu", "--pack", "back.tar.gz") == "scratch-asr-test-small: 4 of 4"
    scratch_project(tmp_path / "home", LISTS)
    command = [sys.executable, "-m", "lrsms", "unpack", str(tmp_path / "gpu/back.tar.gz")]
    subprocess.run(command, cwd=tmp_path / "home", check=True, capture_output=True)
    tables = []
    for folder in (tmp_path / "gpu", tmp_path / "home"):
        subprocess.run([sys.executable, "-m", "lrsms", "regenerate"], cwd=folder, check=True, capture_output=True)
        tables.append((folder / "results/scratch-asr-test-small/table.csv").read_bytes())
    assert tables[0] == tables[1]
    assert tables[0].count(b"\n") > 2


@pytest.mark.slow
def test_a_slice_ends_in_time_and_the_next_one_goes_on(tmp_path: Path) -> None:
    lists = LISTS.replace("seeds: [1]", "seeds: [1], timed: false")  # to time a step takes long on a busy machine
    scratch_project(tmp_path, lists, preset=PRESET.replace("steps: 4,", "steps: 1000000,"))
    steps = []
    for _ in range(2):
        assert reference(tmp_path, "--seconds", "60") == "scratch-asr-test-small: 0 of 2"
        assert not list(tmp_path.glob("results/runs/*/run.json"))
        logs = [path.read_text().splitlines() for path in sorted(tmp_path.glob("results/runs/*/metrics.jsonl"))]
        steps.append([json.loads(lines[-1])["step"] for lines in logs])
        assert len(steps[-1]) == 2  # both, side by side
    assert all(first < second for first, second in zip(*steps, strict=True))
