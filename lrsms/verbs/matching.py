"""The verb that finds controls of equal cost for a study."""

import argparse
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lrsms.base.hints import did_you_mean
from lrsms.base.terminal import say
from lrsms.study import expand
from lrsms.study.expand import Experiment
from lrsms.verbs.options import Verb, asked_study, on_corpora, on_records, on_steptimes, with_study

if TYPE_CHECKING:
    from lrsms.cost.controls import Control

_WIDTH = 112


def add(verb: Verb) -> None:
    """Adds the verb to the command line."""
    added = verb(controls, with_study(), on_corpora(), on_records(), on_steptimes())
    added.add_argument("cell", help="label of the cell whose training budget the control gets")
    added.add_argument("--control", default="dense", help="label of the cell that is trained for it; dense if none")
    added.add_argument(
        "--equal", choices=("multiply-adds", "time"), default="multiply-adds", help="multiply-adds if not given"
    )
    added.add_argument("--write", action="store_true", help="add the grid to the study's file")


def controls(options: argparse.Namespace) -> None:
    """Solves the training steps at which one cell of a study takes the multiply-adds, or the time, of another."""
    from lrsms.base.files import write_atomically
    from lrsms.cost.controls import equal
    from lrsms.study.insert import grid_lines, with_grid

    project, experiments, _ = asked_study(options)
    path, study = expand.load_study(project.study, options.config_folder)
    if not study.training:
        raise ValueError(f"{path}: trains nothing, so that no training can cost as much as another")
    like = _cell(experiments, options.cell)
    members = _cell(experiments, options.control)
    control, other = (next(one for one in own if not one.tuning) for own in (members, like))
    found = equal(options.equal, control, other, options.steptimes, options.corpora)
    named = study.tune.times if study.tune else {}  # multiples of the preset's need no line in a grid
    grid = {name: values for name, values in found.grid(members).items() if name not in named}
    comment = _comment(found, options.equal)
    say(_sentence(found, options.equal))
    if found.is_among(experiments):
        say(f"{path} has this control already")
    elif options.write:
        preset = f"{project.scale}-{project.task}"
        text = with_grid(path.read_text(encoding="utf-8"), preset, comment, grid, str(path))
        write_atomically(path, text.encode())
        say(f"added to {path}, presets.{preset}")
    else:
        for line in (*(f"# {line}" for line in comment), *grid_lines(grid)):
            say(line)


def _cell(experiments: Sequence[Experiment], name: str) -> list[Experiment]:
    """The runs of a cell."""
    found = [one for one in experiments if one.cell == name]
    if not found:
        cells = dict.fromkeys(one.cell for one in experiments)
        hint = did_you_mean(name, cells, f"it has: {', '.join(cells)}")
        raise ValueError(f"the study has no cell '{name}'; {hint}")
    return found


def _sentence(found: "Control", budget: str) -> str:
    share = found.steps * found.step / (found.like_steps * found.like_step)
    return (
        f"'{found.experiment.cell}' in {found.steps:,} steps takes {share:.4f} times the training {budget} of"
        f" '{found.like.cell}' in {found.like_steps:,} steps"
    )


def _comment(found: "Control", budget: str) -> list[str]:
    if budget == "time":
        each = f"{found.like_step:.4g} times the baseline's time; these take {found.step:.4g} times it, {found.source}"
    else:
        each = f"{found.like_step:.6g} each; these take {found.step:.6g} each, {found.source}"
    text = (
        f"'{found.experiment.cell}' for the training {budget} of '{found.like.cell}', which has {found.like_steps:,}"
        f" steps of {each}. Solved by lrsms controls --equal {budget}."
    )
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
