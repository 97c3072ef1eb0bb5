"""Films on paper: all frames of one on a page, each with what is said at that moment."""

import json
import math
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lrsms.data.corpora.synthetic import PHONEMES
from lrsms.data.manifest import SPLITS
from lrsms.data.prepare import RENDERED
from lrsms.data.prepared import Prepared
from lrsms.study.frames import FRAMES_PER_SECOND

_INCHES = 1.0
"""Width of a frame."""
_CAPTION = 0.22
"""Height of the line under it, in widths of a frame."""
_POINTS = 9


def contact_sheet(frames: np.ndarray, captions: Sequence[str], columns: int = 12) -> Figure:
    """Lays a film out on one page, in the order of reading.

    Args:
        frames: ``(T, H, W)`` uint8, grey.
        captions: what to write under each frame.
        columns: frames in a row.
    """
    assert len(frames) == len(captions) > 0, f"{len(captions)} captions for {len(frames)} frames"
    rows = math.ceil(len(frames) / columns)
    cell = (1 + _CAPTION) * frames.shape[1] / frames.shape[2]
    figure = Figure(figsize=(_INCHES * columns, _INCHES * cell * rows), dpi=frames.shape[2] / _INCHES)
    width, height = 1 / columns, 1 / rows
    picture = height / (1 + _CAPTION)
    for index, (frame, caption) in enumerate(zip(frames, captions, strict=True)):
        row, column = divmod(index, columns)
        axes = figure.add_axes((column * width, 1 - row * height - picture, width, picture))
        axes.imshow(frame, cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
        axes.text(
            0.5, -0.03, caption, transform=axes.transAxes, ha="center", va="top", fontsize=_POINTS, parse_math=False
        )
    return figure


def utterance_sheet(folder: Path, utterance: str) -> Figure:
    """The film of one utterance of a prepared corpus, with its phonemes (if it was rendered) or its seconds.

    Raises:
        ValueError: one line: the corpus has no video, or no such utterance.
    """
    prepared = Prepared(folder)
    if "video" not in prepared.modalities:
        raise ValueError(f"{folder}: was prepared without video; prepare it for task vsr or avsr")
    items = {item.id: item for split in SPLITS for item in prepared.items(split)}
    if utterance not in items:
        near = get_close_matches(utterance, items, n=1)
        raise ValueError(f"{folder}: has no utterance '{utterance}'; did you mean '{(near or list(items))[0]}'?")
    frames = prepared.video(items[utterance])
    middles = [(index + 0.5) / FRAMES_PER_SECOND for index in range(len(frames))]
    return contact_sheet(frames, _phonemes(folder / RENDERED, utterance, middles) or [f"{t:.2f} s" for t in middles])


def _phonemes(rendered: Path, utterance: str, times: Sequence[float]) -> list[str] | None:
    """The phoneme at each time; None if the corpus was not rendered."""
    path = rendered / PHONEMES
    if not path.is_file():
        return None
    with path.open(encoding="utf-8") as lines:
        spoken = next(row for row in map(json.loads, lines) if row["id"] == utterance)
    starts = [("", 0.0), *((name, start) for name, start in spoken["phonemes"]), ("", spoken["end"])]
    return [next(name for name, start in reversed(starts) if start <= time) for time in times]
