"""Takes over the training of a dense run, for a run that trains as it does and cuts what it ends with.

Both take the same steps with the same seed, to the same bits on the same device. So once the dense run has ended in the
folder beside, nothing is left to do but the cut. Where it has not, the run trains itself.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from lrsms.base.files import write_atomically, write_json
from lrsms.base.terminal import say
from lrsms.data.identity import difference
from lrsms.data.prepared import Prepared
from lrsms.methods.build import build_structure
from lrsms.methods.operations import plan_summary
from lrsms.record.run_files import METRICS, PLAN, TIMINGS, WEIGHTS
from lrsms.study.run import Run
from lrsms.training.distributed import Ranks
from lrsms.training.ending import end, read_end
from lrsms.training.weights import macs_per_second, write_weights

_LOGS = (METRICS, TIMINGS)


@dataclass(frozen=True)
class Twin:
    """A dense run that has ended: its folder, and the content of its ``run.json``."""

    folder: Path
    outcome: dict[str, Any]


def dense_twin(run: Run, prepared: Prepared, folder: Path, ranks: Ranks) -> Twin | None:
    """The dense run that trains as ``run`` does, if it has finished on the same data, its files are whole, and all
    ranks see it.

    Args:
        run: any run; only one that cuts what it has trained has a twin.
        prepared: its corpus.
        folder: its folder; the twin's is beside it.
        ranks: the processes that train the run.
    """
    if not run.method.cuts_trained:
        return None
    found = None
    for place in sorted(folder.parent.glob(f"*-{run.trains_as.digest}")):
        outcome = read_end(place)
        if outcome is None or outcome["status"] != "finished" or difference(outcome, prepared.identity):
            continue
        if all((place / name).is_file() for name in _LOGS):
            found = Twin(place, outcome)
    seen_by = ranks.totals([int(found is not None)])[0]
    return found if seen_by == ranks.size else None


def take_over(run: Run, prepared: Prepared, folder: Path, twin: Twin) -> None:
    """Makes a run's files of those of its twin; what they say of the training is said of the twin's.

    Raises:
        ValueError: one line: the weights do not fit the run's plan.
        OSError: a file cannot be read or written.
    """
    say(f"{folder.name}: takes over the training of {twin.folder.name}, which took the same steps")
    plan = plan_summary(*build_structure(run, prepared.tokenizer.size))
    write_json(folder / PLAN, plan)
    for name in _LOGS:
        write_atomically(folder / name, (twin.folder / name).read_bytes())
    write_weights(folder, run, prepared, plan, load_file(twin.folder / WEIGHTS))
    cost = macs_per_second(run, prepared.tokenizer.size, prepared.items("train"))
    end(folder, twin.outcome | {"macs_per_second": cost})
