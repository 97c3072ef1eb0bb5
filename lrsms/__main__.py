"""``lrsms VERB``, or ``python -m lrsms VERB``: verbs for a person, and one for each rule of the workflow."""

import argparse
import contextlib
import errno
import gc
import importlib.util
import os
import shutil
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from lrsms import QUESTION, verbs
from lrsms.base.terminal import say, spell_out_what_it_lacks
from lrsms.study import expand
from lrsms.training import interrupt

ABOUT = f"{QUESTION} Studies of low rank, among them LR-SMS (Low-Rank Speech Model from Scratch)."
HEADINGS = {False: "verbs for you", True: "verbs for the workflow"}


def program() -> NoReturn:
    """The command ``lrsms``."""
    status = main()
    gc.freeze()  # all memory goes with the process: to look for garbage in what PyTorch defines would take 0.3 s
    sys.exit(status)


def main(arguments: list[str] | None = None) -> int:
    """Runs a verb. An error that a user can correct ends as one line on standard error, with exit status 1."""
    options = _parser().parse_args(arguments)
    _without_matplotlibrc()
    spell_out_what_it_lacks()
    options.arguments = sys.argv[1:] if arguments is None else arguments
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning  # in one line, without the line of code
        try:
            options.verb(options)
        except (ValueError, OSError) as error:
            say(f"error: {_one_line(error)}", sys.stderr)
            return 1
        except interrupt.Interrupted as reason:
            with contextlib.suppress(OSError):  # the same signal may have ended the process that reads the line
                say(reason, sys.stderr)
            return interrupt.EXIT_STATUS
        except KeyboardInterrupt:
            return 130
    return 0


def _without_matplotlibrc() -> None:
    """Draws into files only, and ignores the user's settings, which can make even the import of Matplotlib fail."""
    os.environ["MPLBACKEND"] = "agg"
    if (found := importlib.util.find_spec("matplotlib")) and found.origin:
        os.environ["MATPLOTLIBRC"] = str(Path(found.origin).parent / "mpl-data/matplotlibrc")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or "No space left" in text:
        where = getattr(error, "filename", None) or text
        return f"the disk is full ({where}); free some space and run again: finished work is kept"
    return text


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"warning: {' '.join(str(message).split())}", sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lrsms", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-folder", type=Path, default=expand.CONFIG_FOLDER, help="presets, studies and corpora")
    choices = parser.add_subparsers(required=True, metavar="VERB", help="'lrsms VERB --help' explains a verb")
    groups: dict[bool, dict[str, str]] = {False: {}, True: {}}

    def verb(
        function: Callable[[argparse.Namespace], None], *parents: argparse.ArgumentParser, workflow: bool = False
    ) -> argparse.ArgumentParser:
        text = function.__doc__ or ""
        name = function.__name__.rstrip("_")  # Python keeps some words for itself
        added = choices.add_parser(name, parents=list(parents), description=text)
        added.set_defaults(verb=function)
        groups[workflow][name] = text.partition("\n\n")[0]
        return added

    for module in verbs.modules():
        module.add(verb)
    parser.description = _filled(ABOUT)
    parser.epilog = "\n\n".join(f"{heading}:\n{_listed(groups[key])}" for key, heading in HEADINGS.items())
    return parser


def _listed(verbs_by_name: dict[str, str]) -> str:
    width = max(map(len, verbs_by_name), default=0) + 4
    return "\n".join(
        _filled(f"{f'  {name}':{width}}{text}", " " * width) for name, text in sorted(verbs_by_name.items())
    )


def _filled(text: str, indent: str = "") -> str:
    """The text in lines as wide as the terminal, as argparse makes them."""
    return textwrap.fill(text, max(shutil.get_terminal_size().columns - 2, 40), subsequent_indent=indent)


if __name__ == "__main__":
    program()
