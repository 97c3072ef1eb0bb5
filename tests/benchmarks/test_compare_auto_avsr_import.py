"""The comparison of an imported network with Auto-AVSR's own code, which a network of the same structure stands for."""

import sys
import types

import pytest
import torch
from auto_avsr_network import Network
from torch import nn

from benchmarks import compare_auto_avsr_import
from benchmarks.compare_auto_avsr import PACKAGE
from benchmarks.compare_auto_avsr_import import SIZE, compare, main
from lrsms.models import conformer


class InTheirWay(nn.Module):
    """A part that is called and answers as theirs: an encoder with a mask, and a pair of results."""

    def __init__(self, encoder):
        super().__init__()
        for name, part in encoder.named_children():
            self.add_module(name, part)
        self.called = [encoder]

    def forward(self, x, mask):
        assert mask is None
        return self.called[0](x), None


@pytest.fixture
def clone(monkeypatch):
    """Their code, as far as it is called."""

    def build(path, task, size):
        network = Network(task, "main", size=size).float()
        decoder, head = network.decoder, network.ctc
        network.encoder = InTheirWay(network.encoder)
        head.log_softmax = lambda x: torch.log_softmax(head.ctc_lo(x), dim=-1)
        decoder.forward = lambda tokens, mask, memory, _: (network.logits(tokens, memory), None)
        return network

    masks = types.ModuleType("mask")
    masks.subsequent_mask = lambda size: torch.ones(size, size, dtype=torch.bool).tril()
    monkeypatch.setitem(sys.modules, f"{PACKAGE}.transformer.mask", masks)
    monkeypatch.setattr(compare_auto_avsr_import, "their_model", build)


def test_equal_networks_do_not_differ(clone, tmp_path):
    figures = compare(tmp_path, "asr")
    assert [figure.name.rpartition("of ")[2] for figure in figures] == ["memory", "CTC log-probabilities", "logits"]
    assert all(figure.value < 1e-10 for figure in figures)
    assert figures[0].details["parameters"] > 0 and SIZE == 50


def test_a_difference_is_seen(clone, tmp_path, monkeypatch):
    real = conformer.relative_positions
    monkeypatch.setattr(conformer, "relative_positions", lambda *given: real(*given).flip(0))
    assert compare(tmp_path, "asr")[0].value > 1e-3


def test_what_is_no_clone_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"is no clone of github.com/mpc001/auto_avsr"):
        main([str(tmp_path), "--tasks", "asr"])
