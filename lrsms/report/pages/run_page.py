"""The page of one run: its settings, cost, errors, training and data."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import yaml
from markupsafe import Markup

from lrsms.record.decoding_times import real_time_factors
from lrsms.record.metrics import WORDS, metric_of
from lrsms.record.worst import aligned_words
from lrsms.report.pages import further_metrics, plan_page
from lrsms.report.pages.chart import Line, chart
from lrsms.report.pages.markup import Table, page
from lrsms.report.pages.material import Material
from lrsms.study.corpus import Unit
from lrsms.study.decoding import Decoding
from lrsms.study.fields import as_text, difference

_BODY = """
{{ show(about) }}
<h2>Cost</h2>
{{ show(cost) }}
{% if rates.rows %}<h2>Error rates</h2>
{{ show(rates) }}{% endif %}
{% if further.rows %}<h2>Other metrics</h2>
{{ show(further) }}{% endif %}
{% for heading, table in worst %}<h2>{{ heading }}</h2>
{{ show(table) }}{% endfor %}
{% if curve %}<h2>Training</h2>
<p>{{ curve }}</p>{% endif %}
{% if plan.rows %}<h2>Plan</h2>
{{ ranks }}
{{ show(plan) }}{% endif %}
<h2>Configuration</h2>
<pre tabindex="0">{{ config }}</pre>
{% if provenance.rows %}<h2>Provenance</h2>
{{ show(provenance) }}{% endif %}
"""
"""A part that an unfinished run or an old record lacks has no heading."""
_UNKNOWN = "-"
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # takes a tenth of the time, if PyYAML has it


def run_page(run: Material, decoding: Decoding) -> bytes:
    """The page of a run.

    Args:
        run: its data.
        decoding: decoders and conditions; the last decoder is the one whose worst utterances are listed.
    """
    return page(title(run), _BODY, **parts(run, decoding))


def title(run: Material) -> str:
    """What the run is called for people: its cell and its seed."""
    return f"{run.experiment.cell}, seed {run.experiment.run.seed}"


def parts(run: Material, decoding: Decoding) -> dict[str, Any]:
    """What there is to show of a run, by the name of the part; arguments as those of `run_page`.

    Tables are ``about``, ``cost``, ``rates``, ``further``, ``plan`` and ``provenance``; without rows where nothing is
    known. ``worst`` is a list of headings and tables, ``curve`` and ``ranks`` are charts or empty, ``config`` is YAML.
    """
    content = run.experiment.run.model_dump(mode="json", exclude_none=True)
    return {
        "about": _about(run),
        "cost": _cost(run),
        "rates": _rates(run, decoding),
        "further": further_metrics.table(run, decoding),
        "worst": _worst(run, decoding),
        "curve": _curve(run),
        "ranks": plan_page.ranks_chart(run.matrices),
        "plan": plan_page.table(run.matrices) if run.matrices else Table((), ()),
        "config": yaml.dump(content, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=100),
        "provenance": provenance(run.outcome),
    }


def _about(run: Material) -> Table:
    experiment = run.experiment
    varied = difference(experiment.baseline, experiment.run)
    said = "; ".join(f"{field}: {as_text(value) or 'off'}" for field, value in varied.items())
    status = run.status
    if status == "diverged":
        status += f" at step {run.outcome.get('diverged_at', 'unknown')}"
    rows = [("status", status), ("varies", said or "nothing: the dense baseline"), ("seed", str(experiment.run.seed))]
    if experiment.nuisance:
        chosen = "; ".join(f"{field}: {as_text(value)}" for field, value in experiment.nuisance.items())
        judged = "its cell is judged by this value" if run.measured else "its cell is judged by another value"
        rows.append(("tuned on validation", f"{chosen} ({judged})"))
    for decoder, choice in run.choices.items():
        tried = ", ".join(f"{bonus:g}: {_percent(errors, choice.words)}" for bonus, errors in choice.tried.items())
        rows.append((f"length bonus, {decoder}", f"{choice.chosen:g}, chosen by WER % on validation ({tried})"))
    return Table((), [*rows, ("run", experiment.name)])


def _cost(run: Material) -> Table:
    rows = [("size", plan_page.summary(run))] if run.matrices else [("parameters", _count(run.number("parameters")))]
    factorised, before = run.number("factorised"), run.number("factorised_dense")
    if factorised and before:
        rows.append(("factorised matrices", f"{factorised:,.0f} parameters, {before:,.0f} when dense"))
    rows.append(("multiply-adds per second of speech", _count(run.number("macs_per_second"))))
    rows.append(("peak memory in training", _with_unit(run.number("peak_memory_mb"), "MB")))
    seconds = run.number("seconds")
    if seconds is not None:
        rows.append(("training took", str(timedelta(seconds=round(seconds)))))
    if (waited := run.number("waited")) is not None:
        rows.append(("of its steps, waiting for data", f"{waited:.1%}"))
    rows.append(("training step", _with_unit(run.number("step_ms"), "ms")))
    if (speedup := run.number("speedup")) is not None:
        low, high = run.number("speedup_low"), run.number("speedup_high")
        interval = f" [{low:.2f}, {high:.2f}]" if low is not None and high is not None else ""
        rows.append(("against the preset's step", f"{speedup:.2f}{interval} times as fast, measured in turns"))
    if device := run.measured.get("steptime_device"):
        rows.append(("step measured on", str(device)))
    for decoder, factor in real_time_factors(run.times).items():
        where = f"{run.times.get('device', 'unknown')}, {run.times.get('threads', '?')} threads"
        rows.append((f"real-time factor, {decoder}", f"{factor:.3g} ({where})"))
    return Table((), rows)


def _rates(run: Material, decoding: Decoding) -> Table:
    metric = metric_of(run.experiment.run.corpus.unit)
    headers = ["decoder", "condition", "split", "utterances", metric.plural, "S", "D", "I", f"{metric.short} %"]
    headers += ["CER %"] if metric == WORDS else []
    rows = []
    for count in run.counts.to_dict("records"):
        condition = decoding.conditions.get(count["condition"])
        edits = count["substitutions"] + count["deletions"] + count["insertions"]
        numbers = [count[name] for name in ("utterances", "words", "substitutions", "deletions", "insertions")]
        rates = [_percent(edits, count["words"]), _percent(count["character_edits"], count["characters"])]
        split = condition.tested_on if condition is not None else ""
        rows.append(
            (count["decoder"], count["condition"], split, *(f"{number:,}" for number in numbers), *rates)[
                : len(headers)
            ]
        )
    caption = "From the record's score table: sums of substitutions (S), deletions (D) and insertions (I) of"
    return Table(headers, rows, frozenset(range(3, 10)), f"{caption} {metric.plural}.")


def _worst(run: Material, decoding: Decoding) -> list[tuple[str, Table]]:
    """A heading and a table for each condition of the test split, with the last decoder."""
    decoder = list(decoding.decoders)[-1]
    tables: list[tuple[str, Table]] = []
    if run.scores is None:
        return tables
    for name, condition in decoding.conditions.items():
        if condition.split != "test" or (worst := run.worst(decoder, name)).empty:
            continue
        unit = run.experiment.run.corpus.unit
        metric = metric_of(unit)
        columns = {"id": "utterance", "speaker": "speaker", "words": metric.plural}
        columns |= {"substitutions": "S", "deletions": "D", "insertions": "I"}
        caption = f"Most {metric.noun} errors first."
        said = [run.words.get((decoder, name, id)) for id in worst["id"]]
        if "alignment" in worst and any(said):
            worst = worst.assign(spoken=[_spoken(*both, unit) for both in zip(worst["alignment"], said, strict=True)])
            columns["spoken"] = "reference above, hypothesis below"
            caption += f" Errors are marked; *** stands where a {metric.noun} was deleted (below) or inserted (above)."
        elif "alignment" in worst:
            columns["alignment"] = "alignment"
            caption += " Alignment: C right, S substituted, D deleted, I inserted, in the order of time."
        rows = [tuple(map(_cell, (row[column] for column in columns))) for row in worst.to_dict("records")]
        table = Table(list(columns.values()), rows, frozenset({2, 3, 4, 5}), caption)
        tables.append((f"Worst utterances: {decoder}, {name}", table))
    return tables


def _cell(value: object) -> str:
    """The value as text; markup stays markup."""
    return value if isinstance(value, str) else str(value)


def _spoken(letters: str, texts: tuple[str, str] | None, unit: Unit | None) -> Markup:
    """The words of an utterance, hypothesis below reference; nothing if they are unknown."""
    if texts is None:
        return Markup(_UNKNOWN)
    pairs = []
    for letter, *words in aligned_words(letters, *texts, unit):
        above, below = (word or "***" for word in words)
        mark = "" if letter == "C" else " wrong"
        pairs.append(Markup('<span class="pair{}"><span>{}</span> <span>{}</span></span>').format(mark, above, below))
    return Markup(" ").join(pairs)


def _curve(run: Material) -> Markup:
    if run.curve is None:
        return Markup()
    curve = run.curve
    steps = [float(step) for step in curve["step"]]

    def line(label: str, column: str, scale: float = 1.0) -> Line:
        return Line(label, list(zip(steps, (scale * float(value) for value in curve[column]), strict=True)))

    loss = chart("Loss", "step", "loss", [line("training", "loss"), line("validation", "valid_loss")])
    return loss + chart(
        "Error rate",
        "step",
        f"{metric_of(run.experiment.run.corpus.unit).short} (%)",
        [line("validation", "valid_wer", 100)],
    )


def provenance(outcome: Mapping[str, Any]) -> Table:
    """Names and values from ``run.json`` about the data, the machine and the code of every session."""
    rows = [(name.replace("_", " "), str(outcome[name])) for name in _DATA if outcome.get(name) is not None]
    if (begun := outcome.get("init_from")) is not None:
        source = begun.get("source") or {}
        words = " ".join(str(source[key]) for key in ("kind", "name") if source.get(key))
        rows.append(("began from", f"{words}; SHA-256 of the weights {begun.get('weights_hash')}"))
    origin = outcome.get("provenance")
    rows += [(name, text) for name, text in described(origin).items()]
    sessions = outcome.get("sessions")
    if isinstance(sessions, Sequence) and any(isinstance(one, Mapping) and one.get("graphs") for one in sessions):
        rows.append(("executed as", "CUDA graphs"))
    if isinstance(sessions, Sequence) and len(sessions) > 1:
        starts = ", ".join(str(each.get("start")) for each in sessions if isinstance(each, Mapping))
        rows.append(("sessions", f"{len(sessions)}, from steps {starts}"))
    return Table((), rows)


HASHES = ("data_hash", "corpus_hash", "manifest_hash", "source_hash", "tokenizer_hash", "streams_hash")
_DATA = (*HASHES, "steps", "device", "num_devices", "threads")


def described(origin: Any) -> dict[str, str]:
    """The notes of ``provenance.provenance`` in words; unknown values are left out."""
    if not isinstance(origin, Mapping):
        return {}
    said = {}
    if commit := origin.get("commit"):
        dirty = origin.get("dirty")
        changed = (
            " with changes that were not committed" if dirty is True else "" if dirty is False else " (changes unknown)"
        )
        said["commit"] = f"{commit}{changed}"
    packages = origin.get("packages")
    if isinstance(packages, Mapping):
        said["versions"] = ", ".join(
            [f"Python {origin.get('python')}", *(f"{name} {version}" for name, version in packages.items() if version)]
        )
    said |= {name: str(origin[name]) for name in ("system", "processor", "verb") if origin.get(name)}
    return said


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}" if whole else _UNKNOWN


def _count(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:,.0f}"


def _with_unit(value: float | None, unit: str) -> str:
    return _UNKNOWN if value is None else f"{value:,.1f} {unit}"
