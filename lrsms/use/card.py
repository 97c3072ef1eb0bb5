"""The page that goes with an exported network: what it is, what it was measured to do, and how it is loaded.

It begins with the block of YAML that model hubs read. What it says of error rates is from the run's record.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lrsms.record.metrics import metric_of
from lrsms.report import clusters
from lrsms.report.utterances import Utterances
from lrsms.report.validity.record import read as read_record
from lrsms.statistics.stats import Interval
from lrsms.study.decoding import Decoding
from lrsms.study.lowrank import LowRank
from lrsms.study.run import Run

_TAGS = {"asr": "automatic-speech-recognition", "vsr": "visual-speech-recognition", "avsr": "audio-visual"}
_READS = {"asr": "sound", "vsr": "a talking mouth", "avsr": "sound and a talking mouth"}


@dataclass(frozen=True)
class Rate:
    """An error rate of one decoder under one test condition, as fractions, with what it was counted on."""

    decoder: str
    condition: str
    corpus: str
    split: str
    value: float
    interval: Interval
    utterances: int
    words: int
    unit: str


def rates(record: Path, run: Run, decoding: Decoding) -> list[Rate]:
    """The error rates on the test split, with 95% bootstrap intervals over speakers (see ``clusters``), or utterances.

    Args:
        record: of the run; it may be absent.
        run: the run.
        decoding: whose score table is meant.

    Raises:
        ValueError: one line: the record says what cannot be.
    """
    found = read_record(record, run, decoding)
    if found is None:
        return []
    scores: pd.DataFrame = found.scores
    utterances = Utterances(record.name, scores)
    counts = utterances.counts(record.name, scores, record.parent)
    rates = []
    for decoder in decoding.decoders:
        for condition, settings in decoding.of_split("test").items():
            key = decoder, condition
            said, edits = utterances.summed(key, counts), utterances.edits(key, counts)
            units = utterances.parts[key].units
            words, names = units["words"].to_numpy(), units["speaker"].to_numpy()
            value = float(edits.sum() / words.sum())
            size = said["utterances"], said["words"], clusters.noun(names, said["unit"])
            interval = clusters.bootstrap_rate(edits, words, names)
            corpus = settings.corpus or run.corpus.name
            rates.append(Rate(decoder, condition, corpus, settings.split, value, interval, *size))
    return rates


def write(run: Run, name: str, parameters: tuple[int, int], merged: bool, measured: list[Rate], onnx: bool) -> str:
    """The page, as Markdown.

    Args:
        run: the run.
        name: its name.
        parameters: of the run's network, and of the dense one of the same dimensions.
        merged: whether the factors were multiplied out.
        measured: see ``rates``; empty where there is no record.
        onnx: whether the folder holds ``network.onnx``.
    """
    head = yaml.safe_dump(_metadata(run, name, measured), sort_keys=False, allow_unicode=True)
    kept, dense = parameters
    size = f"It has {kept:,} parameters."
    if run.lowrank is not None:
        size = (
            f"It was trained with low-rank factors in place of {_kept(run.lowrank)}, and so"
            f" with {kept:,} parameters where the dense network has {dense:,}. "
        )
        size += (
            "Here the factors are multiplied out: the file holds dense matrices." if merged else "The file holds them."
        )
    parts = [
        f"---\n# license: yours to choose\n{head}---",
        f"# {name}",
        f"A Conformer that reads {_READS[run.task]} and writes what is said. It was trained {_begun(run)} on the corpus"
        f" `{run.corpus.name}`, with lrsms. {size}",
        *_results(run, measured),
        _files(onnx),
    ]
    return "\n\n".join(parts) + "\n"


def _kept(lowrank: LowRank) -> str:
    """What was factorised, at which share of full rank."""
    if isinstance(lowrank.ratio, dict):
        return ", ".join(f"`{target}` (at {ratio:g} of full rank)" for target, ratio in lowrank.ratio.items())
    return f"{', '.join(f'`{target}`' for target in lowrank.targets)}, at {lowrank.ratio:g} of full rank"


def _begun(run: Run) -> str:
    if run.init_from is None:
        return "from scratch"
    return f"from earlier weights, whose SHA-256 begins with `{run.init_from}`,"


def _metadata(run: Run, name: str, measured: list[Rate]) -> dict[str, Any]:
    """The metadata in the form of the Hugging Face Hub's ``model-index``."""
    short = metric_of(run.corpus.unit).short
    content: dict[str, Any] = {"library_name": "pytorch", "tags": [_TAGS[run.task], "conformer", "lrsms"]}
    if run.lowrank is not None:
        content["tags"].append("low-rank")
    if run.task == "asr":
        content["pipeline_tag"] = _TAGS["asr"]
    if run.corpus.language is not None:
        content["language"] = run.corpus.language
    content |= {"datasets": [run.corpus.name], "metrics": [short.lower()]}
    results = [
        {
            "task": {"type": _TAGS[run.task]},
            "dataset": {"name": f"{rate.corpus} ({rate.condition})", "type": rate.corpus, "split": rate.split},
            "metrics": [
                {"type": short.lower(), "value": round(100 * rate.value, 2), "name": f"{short} (%), {rate.decoder}"}
            ],
        }
        for rate in measured
    ]
    return content | ({"model-index": [{"name": name, "results": results}]} if results else {})


def _results(run: Run, measured: list[Rate]) -> list[str]:
    metric = metric_of(run.corpus.unit)
    if not measured:
        return [f"Its {metric.name} was not measured: the run has no record."]
    rows = [
        f"| {rate.decoder} | {rate.condition} | {100 * rate.value:.2f}% | {100 * rate.interval.low:.2f}% to "
        f"{100 * rate.interval.high:.2f}% | {rate.utterances:,} utterances, {rate.words:,} {metric.plural} |"
        for rate in measured
    ]
    unit = measured[0].unit
    return [
        f"| decoder | condition | {metric.short} | 95% interval | counted on |\n| --- | --- | --- | --- | --- |\n"
        + "\n".join(rows),
        f"Intervals are of a bootstrap over {unit}s: they say what another test set of such {unit}s would give, not"
        " what another training would.",
    ]


def _files(onnx: bool) -> str:
    text = """- `weights.safetensors`: all weights, by name, in float32.
- `network.pt2`: the graph of encoder and CTC head (`torch.export`), which takes the weights as its input.
- `tokens.json`: what each token spells; token 0 is CTC's blank, the last one begins and ends a sentence.
- `config.json`: how the network was built and trained; `tokenizer.*`: its tokenizer.
- `load.py`: loads the network. It needs `torch` and `safetensors` alone: `python load.py SPEECH.wav`."""
    if onnx:
        text += "\n- `network.onnx`: encoder and CTC head, weights and all, of the same inputs."
    return text
