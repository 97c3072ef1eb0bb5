"""An archive of records unpacks to what was packed; one that holds anything else leaves nothing behind."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from scratch import shipped_project

from lrsms.base.files import write_json
from lrsms.record.archive import MOST_BYTES, unpack
from lrsms.watch.kept_results import Goal, pack

RECORD = "results/records/run-0123456789"
SCORES = f"{RECORD}/scores-01234567.csv.gz"
STEPTIME = "results/steptime/b-1.json"


def archive(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
                file.addfile(member, io.BytesIO(content))
            else:
                content.name = name
                file.addfile(content)
    return path


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo()
    member.type, member.linkname = kind, target
    return member


def test_what_was_packed_is_unpacked_once_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [SCORES, *(f"{RECORD}/{name}" for name in ("config.json", "scores-01234567.times.json")), STEPTIME]
    names.append(f"{RECORD}/scores-01234567.loss.csv.gz")
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    pack([Goal(shipped_project(), (Path(names[0]), Path(names[3])))], Path("results"), Path("back.tar.gz"))
    (tmp_path / "home").mkdir()
    found = unpack(Path("back.tar.gz"), tmp_path / "home")
    assert sorted(found) == sorted(tmp_path / "home" / name for name in names)
    assert all(path.read_text() == str(path.relative_to(tmp_path / "home")) for path in found)
    assert unpack(Path("back.tar.gz"), tmp_path / "home") == []
    found[0].write_text("mine")
    with pytest.raises(ValueError, match="differs from the file that is here; move one of them away"):
        unpack(Path("back.tar.gz"), tmp_path / "home")
    assert found[0].read_text() == "mine"


def test_a_study_that_grew_elsewhere_grows_here(tmp_path: Path) -> None:
    project = "results/lrsms-asr-tiny-commands/project.json"
    here, there = {"study": "lrsms", "seeds": {"dense": 10, "a": 3}}, {"seeds": {"dense": 6, "b": 6}, "study": "lrsms"}
    write_json(tmp_path / project, here)
    given = archive(tmp_path / "a.tar.gz", {project: json.dumps(there).encode()})
    assert unpack(given, tmp_path) == []
    assert json.loads((tmp_path / project).read_text()) == {"study": "lrsms", "seeds": {"dense": 10, "a": 3, "b": 6}}
    write_json(tmp_path / project, here | {"study": "other"})
    with pytest.raises(ValueError, match="differs from the file that is here"):
        unpack(given, tmp_path)


def test_a_tuning_that_went_on_elsewhere_goes_on_here(tmp_path: Path) -> None:
    project = "results/init-asr-tiny-commands/project.json"
    chosen = {"added": [{"train.lr": 0.016}], "chosen": {"train.lr": 0.008}}
    here, there = {"dense": {"added": []}, "a": chosen}, {"dense": chosen, "a": {"added": []}, "b": {"added": []}}
    write_json(tmp_path / project, {"study": "init", "tuned": here})
    assert (
        unpack(
            archive(tmp_path / "a.tar.gz", {project: json.dumps({"study": "init", "tuned": there}).encode()}), tmp_path
        )
        == []
    )
    assert json.loads((tmp_path / project).read_text())["tuned"] == {"dense": chosen, "a": chosen, "b": {"added": []}}
    for wrong in ({"dense": {"added": [], "chosen": {"train.lr": 0.002}}}, {"dense": {}}, {"dense": 1}, [1]):
        given = archive(tmp_path / "b.tar.gz", {project: json.dumps({"study": "init", "tuned": wrong}).encode()})
        with pytest.raises(ValueError, match="differs from the file that is here"):
            unpack(given, tmp_path)


def test_an_archive_that_is_not_there_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"back\.tar\.gz: is not there; give an archive that reference --pack wrote$"):
        unpack(tmp_path / "back.tar.gz", tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("/etc/passwd", b"x"),
        ("../results/records/a/run.json", b"x"),
        ("results/records/../../../x/run.json", b"x"),
        ("results/records/a/../b/run.json", b"x"),
        ("results/records/.hidden/run.json", b"x"),
        (f"{RECORD}/weights.safetensors", b"x"),
        (f"{RECORD}/run.json\n", b"x"),
        ("lrsms/__init__.py", b"x"),
        ("workflow/config/config.yaml", b"x"),
        ("results/runs/a/config.json", b"x"),
        (f"{RECORD}/run.json", special(tarfile.SYMTYPE, "/etc/passwd")),
        (f"{RECORD}/run.json", special(tarfile.LNKTYPE, SCORES)),
        (f"{RECORD}/run.json", special(tarfile.FIFOTYPE)),
        ("results/records", special(tarfile.SYMTYPE, "/tmp")),
        ("elsewhere", special(tarfile.DIRTYPE)),
        (f"{RECORD}/plan.json", bytes(MOST_BYTES + 1)),
    ],
)
def test_anything_else_is_refused_and_nothing_is_written(tmp_path: Path, name: str, content: object) -> None:
    (tmp_path / "home").mkdir()
    path = archive(tmp_path / "back.tar.gz", {SCORES: b"good", name: content})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"back\.tar\.gz: cannot be unpacked: .*; nothing was written") as error:
        unpack(path, tmp_path / "home")
    assert "\n" not in str(error.value) and not list((tmp_path / "home").iterdir())


def test_a_damaged_archive_is_refused_wherever_it_is_cut_or_changed(tmp_path: Path) -> None:
    content = archive(tmp_path / "good.tar.gz", {SCORES: b"scores" * 99, f"{RECORD}/run.json": b"{}"}).read_bytes()
    path, home = tmp_path / "bad.tar.gz", tmp_path / "home"
    home.mkdir()
    for place in range(0, len(content) - 8):  # what follows the data is its checksum and length
        for damaged in (content[:place], content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]):
            path.write_bytes(damaged)
            try:
                unpack(path, home)
            except ValueError as error:
                assert "\n" not in str(error)


def test_a_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "results").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (home / "results/records").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="records is a symbolic link; put a folder in its place"):
        unpack(archive(tmp_path / "back.tar.gz", {SCORES: b"x"}), home)
    assert not list((tmp_path / "elsewhere").iterdir())
