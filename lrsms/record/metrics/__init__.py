"""Every metric, one file each: ``<name>.py`` has one ``Metric``, called ``METRIC``."""

import importlib

from lrsms.record.metric import Metric
from lrsms.study.corpus import Unit
from lrsms.study.files_as_values import METRICS as NAMES

METRICS: dict[str, Metric] = {name: importlib.import_module(f"{__name__}.{name}").METRIC for name in NAMES}
"""The metrics by the names of their files."""
WORDS, CHARACTERS = METRICS["wer"], METRICS["cer"]
FURTHER = {name: metric for name, metric in METRICS.items() if metric not in (WORDS, CHARACTERS)}
"""The metrics that are shown in addition to the error rate by which a study is judged."""


def metric_of(unit: Unit | None) -> Metric:
    """The error rate that counts the unit of a corpus; None is words. Every study is judged by it."""
    return CHARACTERS if unit == "characters" else WORDS
