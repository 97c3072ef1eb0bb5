"""How long decoding took, and its real-time factor: processing time divided by the duration of the speech.

``<name>.times.json`` is beside a run's hypotheses ``<name>.jsonl``, and beside its score table in the record. It is a
file of its own, because times never repeat. It has::

    device, threads
    conditions             by name: audio_seconds, network_seconds, and search_seconds by decoder

The network's time covers features and encoder, which all decoders share. Reading the recordings is not counted.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrsms.base.files import read_json
from lrsms.record.run_files import beside

_REMEDY = "restore it, or delete it to do without"


def times_path(path: Path) -> Path:
    """The path of the times that belong to hypotheses or to a score table."""
    return beside(path, "times.json")


def load_times(scores: Path) -> dict[str, Any]:
    """The times beside a score table; empty if there are none, as in old records.

    Raises:
        ValueError: the file is malformed.
    """
    path = times_path(scores)
    if not path.is_file():
        return {}
    content = read_json(path, _REMEDY)
    try:
        real_time_factors(content)
    except (LookupError, TypeError, AttributeError, ZeroDivisionError):
        raise ValueError(f"{path}: has no times of decoding; {_REMEDY}") from None
    return content


def real_time_factors(times: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of network and search per second of speech, by decoder, over all conditions."""
    conditions = list(times.get("conditions", {}).values())
    if not conditions:
        return {}
    audio = sum(condition["audio_seconds"] for condition in conditions)
    network = sum(condition["network_seconds"] for condition in conditions)
    return {
        decoder: (network + sum(condition["search_seconds"][decoder] for condition in conditions)) / audio
        for decoder in conditions[0]["search_seconds"]
    }
