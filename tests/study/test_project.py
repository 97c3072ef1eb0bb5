"""The settings of a project, from ``config.yaml`` or from Snakemake's command line."""

import pytest
from nano import PROJECT

from lrsms.base.strict import parse
from lrsms.study.project import Project


@pytest.mark.parametrize("given", [{"dense": 6}, {"dense": "6"}])
def test_a_number_of_seeds_may_come_from_the_command_line(given):
    assert parse(Project, PROJECT | {"seeds": given}, "--config").seeds == {"dense": 6}


@pytest.mark.parametrize("given", [6, "6", {"dense": "six"}, {"dense": "0"}, ["dense"]])
def test_other_seeds_are_refused_with_what_would_be_right(given):
    with pytest.raises(ValueError, match=r"^--config: 'seeds[^\n]*$"):
        parse(Project, PROJECT | {"seeds": given}, "--config")
