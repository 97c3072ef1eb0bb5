"""Full training on paper: hours of a large GPU from multiply-adds, and the memory it needs."""

import pytest
from small import small_run

from lrsms.cost.card import FLOPS, HEADING, SHARE, on_card
from lrsms.cost.estimate_table import card_sentences
from lrsms.cost.memory import device_memory_mb
from lrsms.cost.random_data import vocabulary
from lrsms.methods.build import build_structure
from lrsms.study.expand import preset_run
from lrsms.training.optimizer import update_cost


def test_the_papers_asr_takes_as_long_as_arithmetic_says():
    """Auto-AVSR's 438 hours of LRS3, 75 epochs."""
    found = on_card(preset_run("paper-asr"), 438)
    assert found.hours == pytest.approx(3.9, abs=0.05)
    assert "989 TFLOP/s" in HEADING and "40%" in HEADING
    assert card_sentences({"dense": found})[1] == f"dense: 3.9 hours and {found.memory_mb / 1024:.1f} GB."
    assert card_sentences({}) == []


def test_hours_are_of_epochs_or_of_full_steps():
    run = small_run()
    by_steps = on_card(run, 438)
    assert by_steps.memory_mb == device_memory_mb(run)
    epochs = run.model_copy(update={"train": run.train.model_copy(update={"epochs": 1, "steps": None})})
    seconds = run.train.steps * run.train.groups_per_step * run.train.group_frames / 25
    assert on_card(epochs, seconds / 3600).hours == pytest.approx(by_steps.hours)
    assert on_card(epochs, 20).hours == pytest.approx(2 * on_card(epochs, 10).hours)


def test_the_optimizers_products_take_time_too():
    adamw = small_run()
    muon = adamw.model_copy(update={"train": adamw.train.model_copy(update={"optimizer": "muon"})})
    more = update_cost(muon.train, build_structure(muon, vocabulary(muon))[0]).multiply_adds
    seconds = 2 * more * adamw.train.steps / (SHARE * FLOPS)
    assert on_card(muon, 1).hours - on_card(adamw, 1).hours == pytest.approx(seconds / 3600)


def test_low_rank_takes_less():
    run, lowrank = (small_run(each) for each in (None, {"targets": ["encoder.feedforward"], "ratio": 0.25}))
    assert on_card(lowrank, 1).hours < on_card(run, 1).hours
