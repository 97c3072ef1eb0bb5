"""Word error rate against the ratio kept; dense models as horizontal lines with bands."""

import math

from lrsms.report.figures.bars import look, points
from lrsms.report.figures.layout import Canvas, ratio_axis
from lrsms.report.figures.material import NOTHING_FINISHED, Drawn, Material, by_condition, describe_rates, title
from lrsms.report.series import LINES, all_panels, dense_labels, dodge

_LINE_OF_DENSE = "0.35"


def draw(material: Material) -> Drawn:
    """WER (%) against log2 of the ratio, by targets where these are many, and by condition."""
    panels = all_panels(material.summary)
    spots, notes = by_condition(material, panels)
    dense = dense_labels(material.summary)
    labels = [*dense.values(), *(one.label for panel in panels for one in panel.series)]
    titles = [title(material, panel.title, condition) for panel, condition in spots]
    canvas = Canvas(titles, list(dict.fromkeys(labels)))
    for axes, (panel, condition) in zip(canvas.panels, spots, strict=True):
        for place, cell in enumerate(material.scored(panel.dense, condition)):
            wer, style = material.wer(cell, condition), LINES[list(dense).index(cell.name) % len(LINES)]
            axes.axhline(wer.value, color=_LINE_OF_DENSE, linestyle=style, zorder=1, label=dense[cell.name])
            if place == 0 and not math.isnan(wer.interval.low):
                axes.axhspan(wer.interval.low, wer.interval.high, color="black", alpha=0.1, zorder=0, linewidth=0)
        everyone = [cell for one in panel.series for cell in material.scored(one.cells, condition)]
        at = dodge(everyone, lambda cell: math.log2(cell.ratio or 1), spread=0.09, near=1e-9)
        for one in panel.series:
            if cells := material.scored(one.cells, condition):
                rates = [material.wer(cell, condition) for cell in cells]
                points(axes, [at[cell.name] for cell in cells], rates, label=one.label, **look(one.look))
        ratio_axis(axes, material.ratios)
    caption = [
        f"{material.summary.metric.title} against the ratio, the fraction of full rank that is kept, by what is"
        f" factorised; {material.decoder} decoding.",
        "Dense models are horizontal lines; the first one of a panel has a band for its interval. Series"
        " that coincide are drawn side by side.",
        *notes,
    ]
    return Drawn(
        canvas.finish("ratio kept", f"{material.summary.metric.name} (%)", NOTHING_FINISHED, from_zero=True),
        [*caption, *describe_rates(material)],
    )
