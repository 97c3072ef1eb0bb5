"""Facts about planning: a study says itself how large it would have to be."""

import fabricate
import pytest
from test_cells import summarise as summarise_study

from lrsms.report import planning
from lrsms.report.planning import needs


def study(tmp_path, seeds):
    experiments = []
    for number, (rate, experiment) in enumerate(fabricate.demo(seeds)):
        if experiment.run.lowrank is None or experiment.run.lowrank.ratio == 0.5:
            fabricate.record(tmp_path / "records", experiment, fabricate.scores(rate, number))
            experiments.append(experiment)
    return summarise_study(tmp_path, experiments)


def test_a_smaller_difference_needs_more(tmp_path):
    summary = study(tmp_path, (1, 2, 3))
    ((large,), (small,)) = (needs(summary, difference) for difference in (0.10, 0.03))
    assert large.power > small.power
    assert large.seeds.number < small.seeds.number
    assert large.seeds.number <= 3 if large.power >= 0.8 else large.seeds.number > 3, "what is enough is enough"


def test_one_seed_says_nothing_of_the_next(tmp_path):
    ((need),) = needs(study(tmp_path, (1,)), 0.05)
    assert need.power is None and need.seeds.number is None
    assert "two seeds" in need.seeds.reason


def test_it_is_printed_with_what_it_rests_on(tmp_path, capsys):
    study(tmp_path, (1, 2, 3))
    planning.show(tmp_path / "out", 0.05)
    printed = capsys.readouterr().out
    assert "power at 5 points" in printed and "speakers of the test split" in printed
    with pytest.raises(ValueError, match="--difference 0: must be a number of points between 0 and 100"):
        planning.show(tmp_path / "out", 0.0)
