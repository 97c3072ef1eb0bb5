"""Does our beam search, ended as theirs, find what Auto-AVSR's own finds with the same network?

Run it as ``python -m benchmarks.compare_auto_avsr_search PATH RUN``. PATH is a clone of github.com/mpc001/auto_avsr,
RUN is the folder of a trained run with an attention decoder. Their search is imported from the clone. It scores with
the run's decoder and CTC probabilities, in float32, one utterance at a time. Ours runs twice: with ``end: espnet``, and
with the exact maximum.
"""

import argparse
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.__main__ import publish
from benchmarks.figure import Figure
from lrsms.data.batch import condition_batch, network_inputs
from lrsms.data.prepared import Item, Prepared
from lrsms.decoding.beam import search
from lrsms.decoding.decode import load_trained
from lrsms.models.recognizer import Recognizer
from lrsms.record.record import load_run
from lrsms.record.score import align, word_error_rate
from lrsms.study.decoding import Condition, Decoder

CPU = torch.device("cpu")
AIM = ">= 95"
Tokens = tuple[int, ...]


class TheirSearch:
    """Auto-AVSR's search with our decoder."""

    def __init__(self, path: Path, model: Recognizer, size: int, beam: int, ctc_weight: float) -> None:
        if not (path / "espnet" / "nets").is_dir():
            raise ValueError(f"{path}: is no clone of github.com/mpc001/auto_avsr; it has no folder espnet")
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
        nets = {
            name: importlib.import_module(f"espnet.nets.{name}") for name in ("batch_beam_search", "scorer_interface")
        }
        ctc = importlib.import_module("espnet.nets.scorers.ctc")

        class Attention(nets["scorer_interface"].BatchScorerInterface):  # type: ignore[misc,name-defined]
            """Scores with the whole decoder at each length."""

            def batch_init_state(self, memory: Tensor) -> None:
                """There is no state."""

            def batch_score(self, tokens: Tensor, states: list[Any], memories: Tensor) -> tuple[Tensor, list[Any]]:
                """``(K, V)``: log-probabilities of the next label."""
                padding = torch.zeros(memories.shape[:2], dtype=torch.bool)
                assert model.decoder is not None
                return model.decoder(tokens, memories, padding)[:, -1].log_softmax(-1), [None] * len(tokens)

        self.log_probs: Tensor | None = None
        self.eos = size - 1
        self.search = nets["batch_beam_search"].BatchBeamSearch(
            scorers={"decoder": Attention(), "ctc": ctc.CTCPrefixScorer(self, self.eos)},
            weights={"decoder": 1 - ctc_weight, "ctc": ctc_weight},
            beam_size=beam,
            vocab_size=size,
            sos=self.eos,
            eos=self.eos,
            pre_beam_score_key="decoder",
        )

    def log_softmax(self, memory: Tensor) -> Tensor:
        """The part of a CTC head that their CTC scorer calls."""
        assert self.log_probs is not None
        return self.log_probs[None].clone()

    def __call__(self, log_probs: Tensor, memory: Tensor) -> Tokens:
        """The best tokens of ``log_probs (T, V)`` and ``memory (T, D)``."""
        self.log_probs = log_probs
        best = self.search(memory)[0].yseq.tolist()
        return tuple(token for token in best if token != self.eos)


def outputs(
    folder: Path, corpora: Path, count: int
) -> tuple[Recognizer, Prepared, Iterator[tuple[Item, Tensor, Tensor]]]:
    """A run's network, its corpus, and the CTC log-probabilities and memory of test utterances, one at a time."""
    run = load_run(folder)
    prepared = Prepared(corpora / run.prepared)
    model = load_trained(run, folder, prepared.tokenizer.size, CPU)
    if model.decoder is None:
        raise ValueError(f"{folder}: has no attention decoder")

    def each() -> Iterator[tuple[Item, Tensor, Tensor]]:
        for item in prepared.items("test")[:count]:
            batch = condition_batch(prepared, [item], Condition(split="test"))
            audio, video = network_inputs(batch, run.model, CPU)
            memory, _ = model.encode(audio, video, batch.lengths, batch.present)
            yield item, model.ctc_log_probs(memory)[0], memory[0]

    return model, prepared, each()


@torch.no_grad()
def compare(path: Path, folder: Path, corpora: Path, count: int, beam: int, ctc_weight: float) -> list[Figure]:
    """The share of equal hypotheses, and the error rates of the three searches."""
    model, prepared, utterances = outputs(folder, corpora, count)
    theirs = TheirSearch(path, model, prepared.tokenizer.size, beam, ctc_weight)
    exact = Decoder(kind="beam", beam=beam, ctc_weight=ctc_weight, length_bonus=0.0)
    alike = exact.model_copy(update={"end": "espnet"})
    found: dict[str, list[Any]] = {"theirs": [], "ours": [], "exact": []}
    equal = 0
    for item, log_probs, memory in utterances:
        ours = [
            search(log_probs[None], torch.tensor([len(log_probs)]), model.decoder, memory[None], settings)[0].tokens
            for settings in (alike, exact)
        ]
        tokens = {"theirs": theirs(log_probs, memory), "ours": ours[0], "exact": ours[1]}
        equal += tokens["theirs"] == tokens["ours"]
        for name, hypothesis in tokens.items():
            found[name].append(align(item.text, prepared.tokenizer.decode(hypothesis)))
    number = len(found["theirs"])
    where = f"beam {beam}, CTC weight {ctc_weight:g}, {number} utterances"
    names = {"theirs": "Auto-AVSR's search", "ours": "ours, end: espnet", "exact": "ours, exact maximum"}
    rates = []
    for name, title in names.items():
        counts = {
            part: sum(getattr(a, part) for a in found[name]) for part in ("substitutions", "deletions", "insertions")
        }
        rates.append(Figure(f"{where}: WER, {title}", 100 * word_error_rate(found[name]), "%", "", counts))
    return [Figure(f"{where}: hypotheses as Auto-AVSR's", 100 * equal / number, "%", AIM), *rates]


def main(arguments: list[str] | None = None) -> None:
    """Compares, prints and writes ``results/bench/compare_auto_avsr_search-<device>.json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_auto_avsr_search", description=__doc__)
    parser.add_argument("path", type=Path, help="a clone of github.com/mpc001/auto_avsr")
    parser.add_argument("run", type=Path, help="the folder of a trained run, in results/runs")
    parser.add_argument("--corpora", type=Path, default=Path("results/corpora"), help="folder of prepared corpora")
    parser.add_argument("--utterances", type=int, default=200, help="of the test split")
    parser.add_argument(
        "--beam", type=int, default=20, help="beam; their search needs as many labels in the vocabulary"
    )
    parser.add_argument("--ctc-weight", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    parser.add_argument("--small", action="store_true", help="two utterances, only to see that it works; no result")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="folder to write")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    count = 2 if options.small else options.utterances
    asked = options.path.resolve(), options.run, options.corpora, count, options.beam, options.ctc_weight
    try:
        figures = compare(*asked)
    except (ValueError, ImportError) as error:
        sys.exit(f"error: {error}")
    publish(options.output, "compare_auto_avsr_search", (__doc__ or "").splitlines()[0], figures, CPU, options.small)


if __name__ == "__main__":
    main()
