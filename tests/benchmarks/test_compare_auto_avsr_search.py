"""The comparison with Auto-AVSR's beam search: what its folder must be, and how its search is fed."""

import json
import sys

import pytest

from benchmarks.compare_auto_avsr_search import main

SEARCH = '''
from collections import namedtuple
import torch

Found = namedtuple("Found", "yseq")


class BatchBeamSearch:
    """Follows the decoder's likeliest label, whatever the beam; one that asks of each scorer what theirs asks."""

    def __init__(self, scorers, weights, beam_size, vocab_size, sos, eos, pre_beam_score_key):
        self.scorers, self.eos = scorers, eos

    def __call__(self, memory):
        log_probs = self.scorers["ctc"].head.log_softmax(memory[None])
        assert log_probs.shape[:2] == (1, len(memory)) and torch.allclose(log_probs.exp().sum(-1), torch.ones(1))
        tokens, states = torch.tensor([[self.eos]]), [self.scorers["decoder"].batch_init_state(memory)]
        for _ in range(len(memory)):
            scores, states = self.scorers["decoder"].batch_score(tokens, states, memory[None])
            scores[:, 0] = -float("inf")
            tokens = torch.cat([tokens, scores.argmax(-1, keepdim=True)], 1)
            if tokens[0, -1] == self.eos:
                break
        return [Found(tokens[0])]
'''
SCORER = """
class CTCPrefixScorer:
    def __init__(self, head, eos):
        self.head = head
"""


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder that looks like a clone, with a search that goes greedily along the decoder."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    nets = tmp_path / "clone" / "espnet" / "nets"
    (nets / "scorers").mkdir(parents=True)
    (nets / "batch_beam_search.py").write_text(SEARCH)
    (nets / "scorer_interface.py").write_text("class BatchScorerInterface: pass\n")
    (nets / "scorers" / "ctc.py").write_text(SCORER)
    yield tmp_path / "clone"
    for name in [name for name in sys.modules if name.partition(".")[0] == "espnet"]:
        del sys.modules[name]


def test_what_is_no_clone_is_refused(tmp_path, trained, corpora):
    with pytest.raises(SystemExit, match=r"is no clone of github.com/mpc001/auto_avsr"):
        main([str(tmp_path), str(trained), "--corpora", str(corpora), "--small"])


def test_a_greedy_search_of_theirs_is_ours_at_beam_one_without_ctc(clone, tmp_path, trained, corpora):
    options = ["--utterances", "8", "--beam", "1", "--ctc-weight", "0", "--threads", "1", "--output", str(tmp_path)]
    main([str(clone), str(trained), "--corpora", str(corpora), *options])
    content = json.loads((tmp_path / "compare_auto_avsr_search-cpu.json").read_text())
    equal, theirs, ours, _ = content["figures"]
    assert equal["value"] == 100 and equal["name"].endswith("hypotheses as Auto-AVSR's")
    assert theirs["value"] == ours["value"] and theirs["details"] == ours["details"]
