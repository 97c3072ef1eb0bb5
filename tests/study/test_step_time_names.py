"""Facts about the names of step times: what shares one, and what it is timed beside."""

import fabricate
from pydantic import create_model

from lrsms.study import expand
from lrsms.study.expand import Experiment
from lrsms.study.run import Run, Train


def test_a_step_time_is_shared_by_what_cannot_change_it(load):
    (same,) = {
        e.steptime for e in load([{"lowrank.ratio": [0.5], "lowrank.init": ["random", "spectral"], "train.lr": [1, 2]}])
    }
    differing = load(
        [
            {},
            {"lowrank.ratio": [0.25]},
            {"lowrank.ratio": [0.5], "lowrank.qkv": ["fused"]},
            {"lowrank.ratio": [0.5], "train.group_frames": [500]},
            {"lowrank.ratio": [0.5], "train.precision": ["bfloat16"]},
        ]
    )
    assert len({same, *(e.steptime for e in differing)}) == 6


def test_a_new_field_of_training_or_of_a_run_changes_the_step_time_unless_it_is_said_not_to():
    train = create_model("NewTrain", __base__=Train, sparsity=(str | None, None))
    new_run = create_model("NewRun", __base__=Run, train=(train, ...), compiled=(bool | None, None))
    old = fabricate.run({"ratio": 0.5})

    def steptime(sparsity: str | None = None, compiled: bool | None = None) -> str:
        dense, lowrank = (
            new_run(**dict(run) | {"train": train(**dict(run.train), sparsity=sparsity), "compiled": compiled})
            for run in (fabricate.run(), old)
        )
        return Experiment(lowrank, dense, "new", {}).steptime

    assert steptime() == fabricate.experiment(old).steptime
    assert len({steptime(), steptime("some"), steptime("more"), steptime(compiled=True)}) == 4


def test_each_optimizer_is_timed_by_itself_beside_the_baseline_with_its_own(load):
    """Else one optimizer would be shown with the time of another, and none with what it costs."""
    experiments = load(
        [
            {"train.optimizer": [None, "muon"]},
            {"train.optimizer": ["muon"], "train.optimizer_options.iterations": [3]},
            {"train.optimizer": [None, "muon"], "lowrank.ratio": [0.5]},
        ]
    )
    assert len({e.steptime for e in experiments}) == len(experiments) == 5
    assert {e.reference.train.optimizer for e in experiments} == {None}
    assert {e.reference.train.optimizer_options for e in experiments} == {None}
    before = load([{}, {"lowrank.ratio": [0.5]}])
    assert [e.steptime for e in before] == [experiments[0].steptime, experiments[3].steptime]


def test_what_is_left_out_of_a_step_time_are_fields():
    """A name that is spelt wrongly would leave nothing out."""
    assert set(Train.model_fields) >= expand._TIMELESS_TRAIN
    assert set(expand._TIMELESS) <= set(Run.model_fields)


def test_a_step_is_timed_beside_a_dense_one_of_the_same_length():
    """Else longer steps would look as if the model were slower."""
    baseline = fabricate.run()
    longer = fabricate.run({"ratio": 0.5}, group_frames=200, steps=20)
    reference = Experiment(longer, baseline, "longer", {}).reference
    assert reference.lowrank is None and reference.model == baseline.model
    assert (reference.train.group_frames, reference.train.steps) == (200, baseline.train.steps)
    assert Experiment(baseline, baseline, "dense", {}).reference == baseline
