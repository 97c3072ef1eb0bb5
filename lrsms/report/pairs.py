"""Writes ``pairs.csv``: MAPSSWE between each run and its baseline of the same seed.

The test is about these two sets of hypotheses only. The change in the study's table, with its p, is about training
again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lrsms.base.csvfile import write_csv
from lrsms.record.score import read_alignments
from lrsms.report.paired import Key
from lrsms.statistics.mapsswe import mapsswe
from lrsms.study.decoding import Decoding

FILE = "pairs.csv"
COLUMNS = ["cell", "seed", "run", "baseline", "decoder", "condition", "segments", "errors", "errors_baseline", "z", "p"]


def write(runs: pd.DataFrame, records: Path, decoding: Decoding, folder: Path) -> None:
    """Writes ``pairs.csv``: a row per finished run, decoder and condition of the test split.

    A run has no row if its baseline has not finished with its seed, or if a record is from before alignments were kept.
    ``z`` is empty if the segments determine none. ``p`` is two-sided and for each pair alone.

    Args:
        runs: the study's ``runs.csv``.
        records: folder of the runs' records.
        decoding: decoders and conditions.
        folder: folder for the file.

    Raises:
        ValueError: one line: a score table is malformed.
    """
    finished = runs[(runs["status"] == "finished") & (runs["split"] == "test")]
    names = dict(zip(zip(finished["cell"], finished["seed"], strict=True), finished["run"], strict=True))
    references: dict[str, Mapping[Key, dict[str, str]]] = {}  # only of baselines: all would fill the memory
    rows: list[dict[str, Any]] = []
    for (cell, baseline, seed, run), tested in finished.groupby(["cell", "baseline", "seed", "run"], sort=False):
        before = names.get((baseline, seed))
        if before is None:
            continue
        if before not in references:
            references[before] = read_alignments(records / before / decoding.scores)
        ours = read_alignments(records / run / decoding.scores)
        for key in zip(tested["decoder"], tested["condition"], strict=True):
            if key not in references[before] or key not in ours:
                continue
            reference = references[before][key]
            found = mapsswe(list(reference.values()), [ours[key][utterance] for utterance in reference])
            counted = (found.segments, found.errors_b, found.errors_a, found.z, found.p)
            rows.append(dict(zip(COLUMNS, (cell, seed, run, before, *key, *counted), strict=True)))
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_csv(folder / FILE, table)
