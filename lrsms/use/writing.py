"""Writes transcripts to standard output, or to files in a folder; each file is whole or absent."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lrsms.base.files import write_atomically
from lrsms.base.terminal import say
from lrsms.use.transcript import SUFFIXES, Format, Transcript, as_json, as_srt


class Output:
    """Takes transcripts one by one.

    Args:
        form: how they are written.
        folder: for a file each, called as what was transcribed; None: standard output.
        files: that will be transcribed.
        about: what JSON says of how they were made.

    Raises:
        ValueError: one line: two of the files would have the same name in the folder, or several are asked for as
            subtitles on standard output.
    """

    def __init__(self, form: Format, folder: Path | None, files: Sequence[Path], about: dict[str, Any]) -> None:
        self._form, self._folder, self._about = form, folder, about
        self._is_alone = len(files) == 1
        if form == "srt" and folder is None and not self._is_alone:
            raise ValueError("--format srt: subtitles of several files do not go into one; add --output FOLDER")
        if folder is None:
            return
        if folder.is_file():
            raise ValueError(f"--output {folder}: is a file; give a folder, which gets a file for each that is read")
        names: dict[str, Path] = {}
        for file in files:
            first = names.setdefault(file.stem, file)
            if first is not file:
                raise ValueError(
                    f"--output {folder}: {first} and {file} would both be written to {file.stem}{SUFFIXES[form]}; "
                    "transcribe them one by one"
                )

    def take(self, transcript: Transcript) -> None:
        """Writes one."""
        form = {"json": lambda one: as_json(one, self._about), "srt": as_srt}.get(self._form)
        text = transcript.text + "\n" if form is None else form(transcript)
        if self._folder is not None:
            name = Path(transcript.file).stem + SUFFIXES[self._form]
            return write_atomically(self._folder / name, text.encode())
        if form is None and not self._is_alone:
            text = f"{transcript.file}\t{text}"
        say(text.removesuffix("\n"))
