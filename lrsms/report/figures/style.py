"""How every figure looks, and how it becomes files: the same data give the same bytes."""

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
    "font.sans-serif": ["DejaVu Sans"],  # which Matplotlib brings: a machine's own fonts would change the pictures
    "pdf.fonttype": 42,
    "svg.fonttype": "path",  # a page that shows the picture need not have its font
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
    """Figures that are made and saved within have the house's style over Matplotlib's own defaults.

    Whatever a user's ``matplotlibrc`` says, which Matplotlib reads when it is imported, is not looked at.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        with sns.axes_style("ticks"), sns.plotting_context("paper"), mpl.rc_context(_STYLE):
            yield


def lay_out(figure: Figure) -> None:
    """Gives everything its place for good, so that no kind of file lays it out again."""
    figure.draw_without_rendering()
    engine = figure.get_layout_engine()
    assert engine is not None
    # The panels' sizes decide about their ticks, and these about the sizes: the ticks stay, and all is laid out again.
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if axis.get_scale() == "linear":
            axis.set_major_locator(FixedLocator(axis.get_majorticklocs().tolist()))
    engine.execute(figure)
    figure.set_layout_engine("none")


def save(figure: Figure, path: Path) -> None:
    """Writes ``<path>.pdf``, ``.png`` and ``.svg``, with their fonts and without a date."""
    lay_out(figure)
    # ``savefig`` would draw each of them twice.
    kinds: dict[str, Callable[[io.BytesIO], None]] = {
        "png": lambda file: FigureCanvasAgg(figure).print_png(file, metadata={"Software": None}),
        "pdf": lambda file: FigureCanvasPdf(figure).print_pdf(file, metadata={"CreationDate": None}),
        "svg": lambda file: FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None}),
    }
    for kind, draw in kinds.items():
        drawn = io.BytesIO()
        draw(drawn)
        write_atomically(path.with_name(f"{path.name}.{kind}"), drawn.getvalue())
