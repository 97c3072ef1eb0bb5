"""Facts about provenance: it says what made a result, and nothing about who or where."""

import getpass
import json
import re
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from lrsms.base import provenance as module
from lrsms.base.provenance import provenance


@pytest.fixture(autouse=True)
def fresh():
    provenance.cache_clear()
    yield
    provenance.cache_clear()


def test_versions_are_those_installed():
    found = provenance()
    assert found["packages"]["torch"] == version("torch")
    assert set(found["packages"]) == set(module.PACKAGES)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["processor"]


def test_the_commit_is_that_of_the_checkout():
    found = provenance()
    folder = Path(module.__file__).parent
    done = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if done.returncode:
        assert (found["commit"], found["dirty"]) == (None, None)
    else:
        assert found["commit"] in (done.stdout.strip(), None)
        assert found["commit"] is None or re.fullmatch("[0-9a-f]{40}", found["commit"])


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(module, "__file__", "/nowhere/lrsms/base/provenance.py")
    assert (provenance()["commit"], provenance()["dirty"]) == (None, None)


def test_a_copy_without_history_may_be_told_its_commit(monkeypatch):
    monkeypatch.setattr(module, "__file__", "/nowhere/lrsms/base/provenance.py")
    monkeypatch.setenv("LRSMS_COMMIT", "0123456789abcdef" * 2 + "01234567")
    assert (provenance()["commit"], provenance()["dirty"]) == ("0123456789abcdef" * 2 + "01234567", None)


def test_a_checkout_is_not_told_another_commit(monkeypatch):
    before = provenance()["commit"]
    provenance.cache_clear()
    monkeypatch.setenv("LRSMS_COMMIT", "f" * 40)
    assert before is None or provenance()["commit"] == before


def test_what_is_no_commit_is_refused(monkeypatch):
    monkeypatch.setattr(module, "__file__", "/nowhere/lrsms/base/provenance.py")
    monkeypatch.setenv("LRSMS_COMMIT", "main")
    with pytest.raises(ValueError, match="LRSMS_COMMIT: 'main' is no commit"):
        provenance()


def test_a_package_inside_another_checkout_is_not_of_its_commit(tmp_path, monkeypatch):
    for arguments in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True, capture_output=True)
    (tmp_path / "provenance.py").touch()
    monkeypatch.setattr(module, "__file__", str(tmp_path / "provenance.py"))
    assert (provenance()["commit"], provenance()["dirty"]) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "verb"),
    [(["train", "/home/me/run"], "train"), (["--config-folder=/home/me"], ""), (["/home/me"], ""), ([], "")],
)
def test_the_verb_is_named_without_its_paths(monkeypatch, arguments, verb):
    monkeypatch.setattr(sys, "argv", ["lrsms", *arguments])
    assert provenance()["verb"] == verb


def test_neither_host_nor_user_nor_path_is_named(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lrsms", "train", str(Path.home())])
    text = json.dumps(provenance())
    for secret in (socket.gethostname(), f"/{getpass.getuser()}", str(Path.home()), str(Path.cwd())):
        assert secret not in text


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A clone that holds this module; returns its commit."""
    path = tmp_path / "lrsms/base/provenance.py"
    path.parent.mkdir(parents=True)
    path.touch()
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True, capture_output=True)
    monkeypatch.setattr(module, "__file__", str(path))
    module._unknown.cache_clear()
    done = subprocess.run(["git", "-C", tmp_path, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_checkout_of_another_owner_has_its_commit(checkout, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    folder = Path(module.__file__).parents[1]
    ours = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True)
    assert "dubious ownership" in ours.stderr
    assert (provenance()["commit"], provenance()["dirty"]) == (checkout, False)


def test_a_checkout_that_git_cannot_read_is_said_once(checkout, tmp_path):
    (tmp_path / ".git/HEAD").write_text("nonsense")
    with pytest.warns(UserWarning, match=rf"records name no commit: git cannot read {tmp_path} \(") as said:
        assert (provenance()["commit"], provenance()["dirty"]) == (None, None)
    assert len(said) == 1


def test_a_hook_of_another_repository_does_not_lend_its_commit(checkout, tmp_path, monkeypatch):
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", other], check=True, capture_output=True)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert provenance()["commit"] == checkout
