"""Word error rate against the signal-to-noise ratio, without noise at the right edge."""

from lrsms.report.figures.bars import look, points
from lrsms.report.figures.highlights import describe_choice, highlights, labels
from lrsms.report.figures.layout import MOST_PANELS, Canvas
from lrsms.report.figures.material import NOTHING_FINISHED, Drawn, Material, describe_rates
from lrsms.report.figures.names import noise_curves, shown_conditions

_DODGE = 0.06


def draw(material: Material) -> Drawn:
    """WER (%) against the SNR in dB; a panel for each kind of noise and set of targets."""
    curves = noise_curves(shown_conditions(material.decoding))
    groups = highlights(material.summary)
    spots = [(name, levels, group) for name, levels in curves.items() for group in groups]
    left_out, spots = len(spots[MOST_PANELS:]), spots[:MOST_PANELS]
    titles = [_title(name if curves.keys() - {name} else "", group.title) for name, _, group in spots]
    canvas = Canvas(titles, labels(groups))
    for axes, (_, levels, group) in zip(canvas.panels, spots, strict=True):
        lines = group.finished
        for place, line in enumerate(lines):
            shown = [index for index, (_, condition) in enumerate(levels) if material.scored([line.cell], condition)]
            rates = [material.wer(line.cell, levels[index][1]) for index in shown]
            at = [index + _DODGE * (place - (len(lines) - 1) / 2) for index in shown]
            if shown:
                points(axes, at, rates, label=line.label, **look(line.look))
        texts = ["clean" if ratio is None else f"{ratio:g}" for ratio, _ in levels]
        axes.set_xticks(range(len(levels)), texts)
        axes.set_xlim(-0.4, len(levels) - 0.6)
    caption = [
        f"{material.summary.metric.title} against the signal-to-noise ratio of {', '.join(curves)}, at equal"
        f" distances; {material.decoder} decoding. An utterance has the same noise in every run. Lines"
        " are drawn side by side.",
        *describe_choice(material.summary, groups),
    ]
    if left_out:
        caption.append(f"{left_out} more panels are not shown.")
    figure = canvas.finish("SNR (dB)", f"{material.summary.metric.name} (%)", NOTHING_FINISHED, from_zero=True)
    return Drawn(figure, [*caption, *describe_rates(material)])


def _title(noise: str, targets: str) -> str:
    return ", ".join(text for text in (targets, noise) if text)
