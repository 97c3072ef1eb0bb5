"""Whatever stands in a file that people write, its reader takes it or says in one line what is wrong with it."""

from pathlib import Path

import nano
import yaml
from mangling import EXAMPLES, fuzz

from lrsms.base.strict import parse
from lrsms.base.yamlfile import parse_yaml, read_yaml
from lrsms.data.corpora import auto_avsr, manifest
from lrsms.study import expand
from lrsms.study.corpus import AutoAvsr, Manifest
from lrsms.study.project import Project
from lrsms.study.run import Run


def as_yaml(content: object) -> str:
    return yaml.safe_dump(content, sort_keys=False)


@EXAMPLES
def test_a_preset_is_read_or_refused_in_one_line(examples: int) -> None:
    base = {"scale": "nano", "task": "asr", "corpus": {**nano.CORPUS, "name": "few"}, "lowrank": {"ratio": 0.5}}

    def read(data: bytes) -> Run:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise ValueError("not text") from None
        return parse(Run, parse_yaml(text, "run.yaml"), "run.yaml")

    fuzz(as_yaml(base | nano.PRESET), read, examples)


@EXAMPLES
def test_a_project_is_read_or_refused_in_one_line(examples: int, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"

    def read(data: bytes) -> Project:
        path.write_bytes(data)
        return parse(Project, read_yaml(path), str(path))

    fuzz(as_yaml(nano.PROJECT | {"roots": {"grid": "/data/it's $here; or there"}}), read, examples)


@EXAMPLES
def test_a_study_is_read_or_refused_in_one_line(examples: int, tmp_path: Path) -> None:
    for folder, content in (("presets/nano-asr", nano.PRESET), ("corpora/few", nano.CORPUS)):
        (tmp_path / folder).parent.mkdir()
        (tmp_path / f"{folder}.yaml").write_text(as_yaml(content))
    (tmp_path / "studies").mkdir()
    path = tmp_path / "studies/sizes.yaml"
    project = parse(Project, nano.PROJECT, "project")

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return [experiment.name for experiment in expand.load(project, tmp_path)]

    fuzz(as_yaml(nano.STUDY), read, examples)


@EXAMPLES
def test_a_manifest_is_read_or_refused_in_one_line_and_stays_in_its_folder(examples: int, tmp_path: Path) -> None:
    rows = [("a1", "train", "s1"), ("a2", "train", "s1"), ("b1", "valid", "s2"), ("c1", "test", "s3")]
    lines = [f"{name}\t{split}\taudio/{name}.wav\t\t{speaker}\tPLACE RED\n" for name, split, speaker in rows]
    corpus = Manifest(kind="manifest", name="mine")

    def read(data: bytes) -> None:
        (tmp_path / manifest.FILE).write_bytes(data)
        for utterance in manifest.utterances(corpus, tmp_path, tmp_path):
            for path in (utterance.audio, utterance.video):
                assert path is None or path.is_relative_to(tmp_path.resolve())

    fuzz("\t".join(manifest.COLUMNS) + "\n" + "".join(lines), read, examples)


@EXAMPLES
def test_a_label_file_is_read_or_refused_in_one_line_and_stays_in_its_folder(examples: int, tmp_path: Path) -> None:
    labels = tmp_path / auto_avsr.LABELS
    labels.mkdir()
    (tmp_path / "units.txt").write_text("▁the 1\ncat 2\n<unk> 3\n")
    for name in ("valid", "test"):
        (labels / f"{name}.csv").write_text(f"lrs3,{name}/v9/00001.mp4,25,1 2\n")
    corpus = AutoAvsr(
        kind="auto_avsr", name="lrs3", train=("train.csv",), valid=("valid.csv",), test=("test.csv",), units="units.txt"
    )

    def read(data: bytes) -> None:
        (labels / "train.csv").write_bytes(data)
        for utterance in auto_avsr.utterances(corpus, tmp_path, tmp_path):
            for path in (utterance.audio, utterance.video):
                assert path is not None and ".." not in path.parts and path.is_relative_to(tmp_path)

    fuzz("lrs3,train/v1/00001.mp4,50,1 2\nlrs3,train/v2/00001.mp4,75,1 2 1\n", read, examples)


@EXAMPLES
def test_a_list_of_units_is_read_or_refused_in_one_line(examples: int, tmp_path: Path) -> None:
    def read(data: bytes) -> dict[str, str]:
        (tmp_path / "units.txt").write_bytes(data)
        return auto_avsr.read_units(tmp_path / "units.txt")

    fuzz("▁the 1\ncat 2\n<unk> 3\n", read, examples)
