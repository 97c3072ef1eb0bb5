"""Fixtures of tests of training: weights that a run may begin from."""

import pytest

from lrsms.record.start import Start
from lrsms.use.start import write_start


@pytest.fixture(scope="session")
def starts(trained, corpora, tmp_path_factory):
    """A folder that holds a start, of the tiny dense run."""
    folder = tmp_path_factory.mktemp("starts")
    write_start(trained, folder / "mine", None, None, corpora)
    return folder


@pytest.fixture(scope="session")
def start(starts):
    return Start.read(starts / "mine")
