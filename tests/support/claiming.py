"""Claims on fabricated results, and their verdicts."""

from pathlib import Path

from lrsms.base.strict import parse
from lrsms.report import outcomes
from lrsms.report.claims import Claim
from lrsms.report.results import Place

PLACE = Place("demo", "asr", "demo", "speech")
FOLDER = PLACE.folder
HALF = {"lowrank.ratio": 0.5}


def claim(**changes) -> Claim:
    content = {
        "finding": "It does not hurt",
        "study": "demo",
        "group": {"lowrank.targets": ["encoder.attention"], "lowrank.ratio": 0.12},
        "rules": ["parity"],
        "decoder": "beam",
        "conditions": ["test"],
    }
    content |= changes
    return parse(Claim, {key: value for key, value in content.items() if value is not None}, "test")


def judged(folder: Path, one: Claim) -> outcomes.Outcome:
    (outcome,) = outcomes.verdicts({"F1": one}, folder, PLACE)
    return outcome
