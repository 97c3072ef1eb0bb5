"""Facts about merging: two halves of a study make its one table, and what cannot be right changes nothing."""

import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path

import fabricate
import pytest
import yaml
from scratch import shipped_project

from lrsms.__main__ import main
from lrsms.record import seal
from lrsms.record.losses import write_losses
from lrsms.record.record import parts_of
from lrsms.report import aggregate
from lrsms.report.results import folder_name, load_project, save_project
from lrsms.report.validity.record import read as read_record
from lrsms.study.decoding import Decoding
from lrsms.use.incoming import bring
from lrsms.use.merge import merge

SCORES = fabricate.DECODING.scores


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def study():
    return fabricate.demo(seeds=(1, 2))[:6]


def lab(folder: Path, study, seeds=(1, 2), **run_json) -> Path:
    """A clone that has recorded the study's runs of some seeds."""
    for rate, experiment in study:
        if experiment.run.seed in seeds:
            scores = fabricate.scores(rate, experiment.run.seed * 1000 + int(rate * 100))
            record = fabricate.record(folder / "results/records", experiment, scores, **run_json)
            content = gzip.decompress((record / SCORES).read_bytes())
            (record / SCORES).write_bytes(gzip.compress(content, mtime=0))  # as lrsms writes them
            write_losses(record / SCORES, fabricate.losses(scores))
    return folder


def take(*sources: Path, into: Path):
    return merge(sources, into / "results", [fabricate.DECODING])


def table(clone: Path, study, output: Path) -> dict[str, bytes]:
    """All that is made of the records of a study."""
    experiments = [experiment for _, experiment in study]
    aggregate.aggregate(experiments, clone / "results/records", clone / "results/steptime", fabricate.DECODING, output)
    return snapshot(output)


def test_two_labs_halves_of_a_study_make_one_table(tmp_path, study):
    whole = lab(tmp_path / "whole", study)
    first, second = lab(tmp_path / "a", study, [1]), lab(tmp_path / "b", study, [2])
    merged = take(first, second, into=tmp_path / "here")
    assert len(merged.records) == len(study)
    assert snapshot(tmp_path / "here") == snapshot(whole)
    assert table(tmp_path / "here", study, tmp_path / "ours") == table(whole, study, tmp_path / "theirs")


@pytest.mark.parametrize("part", ["", "results", "results/records"])
def test_a_clone_its_results_and_its_records_are_all_understood(tmp_path, study, part):
    source = lab(tmp_path / "a", study, [1])
    assert len(take(source / part, into=tmp_path / "here").records) == len(study) // 2


def test_what_is_the_same_is_said_and_stays(tmp_path, study):
    source = lab(tmp_path / "a", study, [1])
    take(source, into=tmp_path / "here")
    before = snapshot(tmp_path / "here")
    again = take(source, source, into=tmp_path / "here")
    assert not again.records and not again.tables
    assert set(again.same) == {experiment.name for _, experiment in study if experiment.run.seed == 1}
    assert snapshot(tmp_path / "here") == before


def test_an_archive_of_reference_pack_is_taken(tmp_path, study, monkeypatch):
    from scratch import shipped_project

    from lrsms.watch.kept_results import Goal, pack

    source = lab(tmp_path / "a", study, [1])
    monkeypatch.chdir(source)
    tables = tuple(sorted(Path("results/records").glob(f"*/{SCORES}")))
    pack([Goal(shipped_project(), tables)], Path("results"), tmp_path / "a.tar.gz")
    take(tmp_path / "a.tar.gz", into=tmp_path / "here")
    assert snapshot(tmp_path / "here/results/records") == snapshot(source / "results/records")


def refused(*sources: Path, into: Path) -> str:
    before = snapshot(into) if into.exists() else {}
    with pytest.raises(ValueError, match=r".") as caught:
        take(*sources, into=into)
    assert (snapshot(into) if into.exists() else {}) == before
    message = str(caught.value)
    assert "\n" not in message and ".merging" not in message
    return message


def test_a_run_that_was_trained_twice_is_a_conflict_that_names_both_sides(tmp_path, study):
    here = lab(tmp_path / "here", study, [1], device="CPU of mine")
    source = lab(tmp_path / "a", study, device="CPU of theirs")
    message = refused(source, into=here)
    assert str(source) in message and str(here) in message
    assert "was trained twice, there on CPU of theirs and here on CPU of mine" in message


def test_other_errors_of_the_same_training_are_a_conflict(tmp_path, study):
    here, source = lab(tmp_path / "here", study, [1]), lab(tmp_path / "a", study, [1])
    (_, experiment), *_ = study
    shutil.rmtree(source / "results/records" / experiment.name)
    fabricate.record(source / "results/records", experiment, fabricate.scores(0.5, 77))
    # Its curve, which is not compared, ends at another error rate; the errors are what differs.
    assert f"has other errors in {SCORES}" in refused(source, into=here)


WIDER = Decoding(
    conditions=fabricate.DECODING.conditions,
    decoders={
        name: one.model_copy(update={"beam": 9} if one.beam else {})
        for name, one in fabricate.DECODING.decoders.items()
    },
)


def decoded_again(clone: Path, study, seed: int) -> Path:
    """The clone, with a further table of each of its runs."""
    for rate, experiment in study:
        path = clone / "results/records" / experiment.name / WIDER.scores
        content = fabricate.scores(rate, seed).to_csv(index=False).encode()
        path.write_bytes(gzip.compress(content, mtime=0))
        seal.write(path, {name: seal.hash_of(part) for name, part in parts_of(path).items()})
    return clone


def test_two_sources_of_a_further_table_are_compared_with_each_other(tmp_path, study):
    study = study[:2]
    here, *others = (lab(tmp_path / name, study) for name in ("here", "a", "b", "c"))
    a, b, c = (decoded_again(clone, study, seed) for clone, seed in zip(others, (1, 2, 1), strict=True))
    both = [fabricate.DECODING, WIDER]
    with pytest.raises(ValueError, match=rf"has other errors in {WIDER.scores}"):
        merge([a, b], here / "results", both)
    merged = merge([a, c], here / "results", both)
    assert len(merged.tables) == 2
    for _, experiment in study:
        assert read_record(here / "results/records" / experiment.name, experiment.run, WIDER) is not None


def test_a_further_table_beside_another_curve_is_refused(tmp_path, study):
    """Its seal is of the other one, so that nobody could read it afterwards."""
    study = study[:1]
    here, source = lab(tmp_path / "here", study, [1]), lab(tmp_path / "a", study, [1])
    curve = source / "results/records" / study[0][1].name / "curve.csv"
    curve.write_text(curve.read_text() + "\n")
    decoded_again(source, study, 1)
    with pytest.raises(ValueError, match=r"has another curve\.csv than the record in"):
        merge([source], here / "results", [fabricate.DECODING, WIDER])


def test_notes_of_a_study_that_grew_on_both_sides_grow_together(tmp_path, study):
    here, source = lab(tmp_path / "here", study, [1]), lab(tmp_path / "a", study, [2])
    project = shipped_project()
    for clone, seeds in ((here, {"dense": 3, "a": 6}), (source, {"dense": 6})):
        folder = clone / "results" / folder_name(project)
        folder.mkdir()
        save_project(project.model_copy(update={"seeds": seeds}), folder)
    take(source, into=here)
    assert load_project(here / "results" / folder_name(project)).seeds == {"dense": 6, "a": 6}


def test_an_edited_configuration_is_refused(tmp_path, study):
    source = lab(tmp_path / "a", study, [1])
    (_, experiment), *_ = study
    path = source / "results/records" / experiment.name / "config.json"
    path.write_text(path.read_text().replace('"dropout": 0.1', '"dropout": 0.2'))
    message = refused(source, into=tmp_path / "here")
    assert f"{source}: results/records/{experiment.name}/config.json" in message and "hashes to" in message


def test_counts_that_cannot_be_are_refused(tmp_path, study):
    source = lab(tmp_path / "a", study, [1])
    (_, experiment), *_ = study
    path = source / "results/records" / experiment.name / "plan.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"parameters": content["parameters"] + 1}))
    assert "'parameters'" in refused(source, into=tmp_path / "here")


def test_other_recordings_are_refused(tmp_path, study):
    here = lab(tmp_path / "here", study, [1], source_hash="ours")
    source = lab(tmp_path / "a", study, [2], source_hash="theirs", data_hash="def")
    assert "which cannot be compared" in refused(source, into=here)


def test_a_record_decoded_as_nobody_says_is_refused(tmp_path, study):
    source = lab(tmp_path / "a", study, [1])
    with pytest.raises(ValueError, match=r"no project says how it was decoded; bring the project\.json of its study"):
        merge([source], tmp_path / "here/results", [])


def test_a_run_under_another_name_is_refused(tmp_path, study):
    here, source = lab(tmp_path / "here", study, [1]), lab(tmp_path / "a", study, [1])
    (_, experiment), *_ = study
    folder = source / "results/records" / experiment.name
    folder.rename(folder.with_name(f"other-{experiment.run.digest}"))
    assert f"is the run that is called '{experiment.name}' here" in refused(source, into=here)


def test_links_are_not_followed(tmp_path, study):
    source = lab(tmp_path / "a", study, [1])
    (_, experiment), *_ = study
    record = source / "results/records" / experiment.name
    shutil.move(record / "plan.json", tmp_path / "elsewhere.json")
    (record / "plan.json").symlink_to(tmp_path / "elsewhere.json")
    assert "is no plain file" in refused(source, into=tmp_path / "here")
    (source / "results/records/far").symlink_to(tmp_path)
    (record / "plan.json").unlink()
    shutil.move(tmp_path / "elsewhere.json", record / "plan.json")
    assert "far" not in take(source, into=tmp_path / "here").records


def test_a_member_that_leaves_the_folder_is_refused(tmp_path):
    path = tmp_path / "bad.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        member = tarfile.TarInfo("results/records/../../../evil.json")
        member.size = 2
        file.addfile(member, io.BytesIO(b"{}"))
    assert "cannot be unpacked" in refused(path, into=tmp_path / "here")
    assert not (tmp_path / "evil.json").exists()


def test_sizes_are_bounded(tmp_path, study, monkeypatch):
    source = lab(tmp_path / "a", study, [1])
    monkeypatch.setattr("lrsms.use.incoming.MOST_BYTES", 100)
    assert "larger than any records" in refused(source, into=tmp_path / "here")


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_source_without_records_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    assert name in refused(tmp_path / name, into=tmp_path / "here")


def test_step_times_that_are_here_stay(tmp_path, study):
    (_, experiment), *_ = study
    here, source = lab(tmp_path / "here", study, [1]), lab(tmp_path / "a", study, [2])
    ours = fabricate.steptime(here / "results/steptime", experiment)
    fabricate.steptime(source / "results/steptime", experiment, device="another")
    before = ours.read_bytes()
    merged = take(source, into=here)
    assert ours.read_bytes() == before
    assert merged.kept == [f"steptime/{ours.name} was measured on both sides; the one that is here stays"]


def test_what_a_killed_merge_left_is_removed(tmp_path, study):
    left = tmp_path / "here/results/.merging/0"
    left.mkdir(parents=True)
    (left / "half").write_text("half")
    take(lab(tmp_path / "a", study, [1]), into=tmp_path / "here")
    assert not left.parent.exists()


def test_only_what_is_shared_is_brought(tmp_path, study):
    source = lab(tmp_path / "a", study, [1])
    (source / "results/runs/x").mkdir(parents=True)
    (source / "results/runs/x/weights.safetensors").write_text("large")
    (source / "results/records/README.md").write_text("notes")
    bring(source, tmp_path / "stage")
    assert {path.parts[0] for path in map(Path, snapshot(tmp_path / "stage/results"))} == {"records"}


def test_the_verb_says_what_it_took(tmp_path, study, capsys):
    source = lab(tmp_path / "a", study, [1])
    decoding = fabricate.DECODING.model_dump(mode="json", exclude_none=True)
    project = {"study": "few", "task": "asr", "scale": "demo", "corpus": "speech", "decoders": decoding["decoders"]}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(project | {"conditions": {"asr": decoding["conditions"]}}))
    arguments = ["merge", "--project", str(tmp_path / "config.yaml"), "--results", str(tmp_path / "here"), str(source)]
    assert main(arguments) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "3 new records, 0 new score tables, 0 step times and notes of studies; 0 records were here"
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("0 new records")
    assert main([*arguments[:-1], str(tmp_path / "none")]) == 1
    assert "is not there; give a folder or an archive of records" in capsys.readouterr().err
