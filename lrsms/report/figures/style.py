"""The style of all figures, and how they become files: the same data give the same bytes."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from lrsms.base.files import write_atomically

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with Matplotlib; a machine's own fonts would change the pictures
    "pdf.fonttype": 42,
    "svg.fonttype": "path",  # so a page can show the picture without its font
    "svg.hashsalt": "lrsms",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "lines.linewidth": 1.0,
    "lines.markersize": 4.5,
    "figure.dpi": 200,
}


@contextmanager
def style() -> Iterator[None]:
    """Within the block, figures are made and saved in our style over Matplotlib's own defaults.

    A user's ``matplotlibrc``, which Matplotlib reads when it is imported, has no effect.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        with sns.axes_style("ticks"), sns.plotting_context("paper"), mpl.rc_context(_STYLE):
            yield


def lay_out(figure: Figure) -> None:
    """Fixes the layout, so that no kind of file computes it again."""
    figure.draw_without_rendering()
    engine = figure.get_layout_engine()
    assert engine is not None
    # Ticks depend on the sizes of panels, and sizes on ticks. So the ticks are fixed, and all is laid out again.
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if axis.get_scale() == "linear":
            axis.set_major_locator(FixedLocator(axis.get_majorticklocs().tolist()))
    engine.execute(figure)
    figure.set_layout_engine("none")


def save(figure: Figure, path: Path) -> None:
    """Writes ``<path>.pdf``, ``.png`` and ``.svg``, with their fonts and without a date."""
    lay_out(figure)
    # ``savefig`` would draw each file twice.
    kinds: dict[str, Callable[[io.BytesIO], None]] = {
        "png": lambda file: FigureCanvasAgg(figure).print_png(file, metadata={"Software": None}),
        "pdf": lambda file: FigureCanvasPdf(figure).print_pdf(file, metadata={"CreationDate": None}),
        "svg": lambda file: FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None}),
    }
    for kind, draw in kinds.items():
        drawn = io.BytesIO()
        draw(drawn)
        write_atomically(path.with_name(f"{path.name}.{kind}"), drawn.getvalue())
