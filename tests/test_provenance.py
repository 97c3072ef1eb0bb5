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

from lrsms import provenance as module
from lrsms.provenance import provenance


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
    assert (provenance()["commit"], provenance()["dirty"]) == (None, None)


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
