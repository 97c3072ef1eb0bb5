"""Facts about atomic files: the old content or the new, never a part."""

import errno
import fcntl
import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lrsms.base import files
from lrsms.base.files import file_hash, held, only_one, read_json, whole_folder, write_atomically, write_json


def test_a_file_is_written_and_its_folder_made(tmp_path):
    path = tmp_path / "a" / "b.json"
    write_json(path, {"name": "ü", "n": [1]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "ü", "n": [1]}
    assert "ü" in path.read_text(encoding="utf-8")
    assert os.listdir(path.parent) == ["b.json"]


def test_a_full_disk_leaves_the_old_content_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_atomically(path, b"old")
    write = Path.write_bytes

    def full(self, content):
        write(self, content[:3])
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new content")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["run.json"]


def test_what_a_killed_process_left_is_gone_after_the_next_writes(tmp_path):
    (tmp_path / "run.json.tmp").write_bytes(b"ha")
    write_atomically(tmp_path / "run.json", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append("fsync"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    write_atomically(tmp_path / "x", b"1")
    assert calls == ["fsync", "replace", "fsync"]  # the file, its name, the folder that holds the name


def test_the_hash_is_sha_256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert file_hash(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()


def test_a_probe_of_the_lock_is_waited_out(tmp_path, monkeypatch):
    (tmp_path / ".lock").touch()
    with open(tmp_path / ".lock", "rb") as probe:
        fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
        monkeypatch.setattr("lrsms.base.files.time.sleep", lambda _: fcntl.flock(probe, fcntl.LOCK_UN))
        with only_one(tmp_path), pytest.raises(BlockingIOError):
            fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_who_asks_whether_a_folder_is_held_holds_nothing_and_writes_nothing(tmp_path):
    assert not held(tmp_path) and not list(tmp_path.iterdir())
    (tmp_path / ".lock").touch()
    with open(tmp_path / ".lock", "rb") as probe:
        fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)  # another asks too
        assert not held(tmp_path)
    with only_one(tmp_path):
        assert held(tmp_path)
    assert not held(tmp_path)


def test_a_second_process_is_refused_while_the_first_is_at_work(tmp_path):
    second = (
        "import sys; from pathlib import Path; from lrsms.base.files import only_one\n"
        "with only_one(Path(sys.argv[1])): pass"
    )
    command = [sys.executable, "-c", second, str(tmp_path / "run")]
    with only_one(tmp_path / "run"):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode != 0
        assert "another process is at work on this run" in done.stderr
    assert subprocess.run(command).returncode == 0


@pytest.fixture
def warned_anew():
    files._warn_once.cache_clear()
    yield
    files._warn_once.cache_clear()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_without_locks_work_goes_on_and_is_warned_of_once(tmp_path, monkeypatch, warned_anew, code):
    def none(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.warns(UserWarning, match="has no locks: make sure that no two processes work on the same run") as said:
        for name in "ab":
            with only_one(tmp_path / name):
                pass
    assert len(said) == 1


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_where_a_folder_cannot_be_synced_files_are_written_and_it_is_said_once(
    tmp_path, monkeypatch, warned_anew, code
):
    fsync = os.fsync

    def of_files(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(file)

    monkeypatch.setattr(os, "fsync", of_files)
    with pytest.warns(UserWarning, match="a power cut may undo the last files") as said:
        for name in "ab":
            write_atomically(tmp_path / name, b"1")
    assert len(said) == 1 and sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_disk_that_fails_is_no_disk_that_cannot(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="Input/output error"), only_one(tmp_path):
        pass


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[1]", "not an object"),
        ("{", "Expecting property name"),
        ('{"a": {"seed": 1, "seed": 2}}', "key 'seed' is given twice"),
        ("[" * 100_000, "maximum recursion depth"),
        ('{"a": ' + "9" * 5000 + "}", "Exceeds the limit"),
    ],
)
def test_what_is_no_json_object_is_refused_in_one_line(tmp_path, content, reason):
    path = tmp_path / "run.json"
    with pytest.raises(ValueError, match=r"run\.json: is not there; mend it$"):
        read_json(path, "mend it")
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"run\.json: not readable as JSON \(.*{reason}.*\); mend it$") as refused:
        read_json(path, "mend it")
    assert "\n" not in str(refused.value)


def test_json_without_end_is_not_read_to_it():
    with pytest.raises(ValueError, match=r"^/dev/zero: not readable as JSON \(more than 64 MiB\); mend it$"):
        read_json(Path("/dev/zero"), "mend it")


def test_a_folder_gets_its_name_when_all_is_in_it(tmp_path):
    folder = tmp_path / "site"
    for text in ("old", "new"):
        with whole_folder(folder) as part:
            (part / text).write_text(text)
            assert not (folder / text).exists()
        assert os.listdir(folder) == [text] and os.listdir(tmp_path) == ["site"]


def test_a_folder_that_fails_half_way_leaves_the_earlier_one(tmp_path):
    folder = tmp_path / "site"
    with whole_folder(folder) as part:
        (part / "old").touch()
    with pytest.raises(KeyboardInterrupt), whole_folder(folder) as part:
        (part / "new").touch()
        raise KeyboardInterrupt
    assert os.listdir(folder) == ["old"] and os.listdir(tmp_path) == ["site"]


def test_an_earlier_folder_comes_back_after_a_kill_between_two_renames(tmp_path):
    for name in (".site.earlier", ".site.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    with pytest.raises(ValueError, match="again"), whole_folder(tmp_path / "site"):
        raise ValueError("again")
    assert os.listdir(tmp_path) == ["site"] and os.listdir(tmp_path / "site") == [".site.earlier"]
