"""Every metric, one file each: ``<name>.py`` has one ``Metric``, called ``METRIC``."""

import importlib

from lrsms.record.metric import Metric
from lrsms.study.corpus import Unit
from lrsms.study.files_as_values import METRICS as NAMES

METRICS: dict[str, Metric] = {name: importlib.import_module(f"{__name__}.{name}").METRIC for name in NAMES}
"""By the name of its file."""
WORDS, CHARACTERS = METRICS["wer"], METRICS["cer"]
FURTHER = {name: metric for name, metric in METRICS.items() if metric not in (WORDS, CHARACTERS)}
"""What is shown beside the error rate that a study is judged by, with changes against the baseline."""


def metric_of(unit: Unit | None) -> Metric:
    """The error rate that counts the unit of a corpus; None is words. Every study is judged by it."""
    return CHARACTERS if unit == "characters" else WORDS
