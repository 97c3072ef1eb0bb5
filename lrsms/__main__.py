"""``python -m lrsms VERB``: one verb per rule of the workflow, and a few to look at things by hand."""

import argparse
import contextlib
import errno
import gc
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lrsms.base.terminal import say, spell_out_what_it_lacks
from lrsms.study import expand
from lrsms.training import interrupt
from lrsms.verbs import adapting, benching, looking, reporting, running


def main(arguments: list[str] | None = None) -> int:
    """Runs a verb; whatever a user can mend ends as one line on standard error and exit status 1."""
    options = _parser().parse_args(arguments)
    _without_matplotlibrc()
    spell_out_what_it_lacks()
    options.arguments = sys.argv[1:] if arguments is None else arguments
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning  # one line, without a line of code
        try:
            options.verb(options)
        except (ValueError, OSError) as error:
            say(f"error: {_one_line(error)}", sys.stderr)
            return 1
        except interrupt.Interrupted as reason:
            with contextlib.suppress(OSError):  # who read the line may have been ended by the same signal
                say(reason, sys.stderr)
            return interrupt.EXIT_STATUS
        except KeyboardInterrupt:
            return 130
    return 0


def _without_matplotlibrc() -> None:
    """Pictures are files: no window, and no user's settings, with which even importing Matplotlib can fail."""
    os.environ["MPLBACKEND"] = "agg"
    if (found := importlib.util.find_spec("matplotlib")) and found.origin:
        os.environ["MATPLOTLIBRC"] = str(Path(found.origin).parent / "mpl-data/matplotlibrc")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or "No space left" in text:
        where = getattr(error, "filename", None) or text
        return f"the disk is full ({where}); free some space and run again: what was finished is kept"
    return text


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"warning: {' '.join(str(message).split())}", sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lrsms", description=__doc__)
    parser.add_argument("--config-folder", type=Path, default=expand.CONFIG_FOLDER, help="presets, studies and corpora")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(
        function: Callable[[argparse.Namespace], None], *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        text = function.__doc__
        added = verbs.add_parser(function.__name__, parents=list(parents), help=text, description=text)
        added.set_defaults(verb=function)
        return added

    for part in (running, adapting, reporting, looking, benching):
        part.add(verb)
    return parser


if __name__ == "__main__":
    status = main()
    gc.freeze()  # all memory goes with the process: to look for garbage in what PyTorch defines would take 0.3 s
    sys.exit(status)
