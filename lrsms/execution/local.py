"""How jobs are executed on one machine or cluster: GPUs, and the options for Slurm. No setting is part of a run.

The settings are keys of ``workflow/config/local.yaml``. Git ignores this file, so that the settings make no record
dirty. They may also be in ``config.yaml`` or in Snakemake's ``--config``, beside the project's own keys.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lrsms.base.portable import is_possible
from lrsms.base.strict import Frozen, parse
from lrsms.base.yamlfile import read_yaml

FILE = "local.yaml"
"""In ``workflow/config``."""
_GRES = re.compile(r"(?P<name>[A-Za-z0-9_]+(?::(?=[0-9_.]*[A-Za-z])[A-Za-z0-9_.]+)?)(?::(?P<count>[1-9][0-9]*))?")
"""A name, an optional type, which has a letter, and an optional number, as in ``gpu:a100:2`` or ``gpu:3g.20gb``."""


def num_gpus(gres: str) -> int:
    """The number of GPUs in a generic resource of Slurm: 1 for ``gpu`` and ``gpu:a100``, 2 for ``gpu:a100:2``.

    Other resources, such as ``scratch:20G``, have none.
    """
    found = _GRES.fullmatch(gres)
    return int(found["count"] or 1) if found is not None and "gpu" in gres.lower() else 0


def gres_of(gres: str, count: int) -> str:
    """The same generic resource, with another number."""
    found = _GRES.fullmatch(gres)
    assert found is not None, "checked when it was read"
    return f"{found['name']}:{count}"


def _is_gpus(text: str) -> str:
    if not num_gpus(text):
        raise ValueError("must be gpu, with an optional type and number, such as gpu, gpu:2 or gpu:a100:2")
    return text


def _is_one_word(text: str) -> str:
    if not text or len(text.split()) != 1 or re.search(r"[\"'\\]", text):
        raise ValueError("must be one word without quotation marks")
    return text


def _as_text(value: object) -> object:
    """Makes a name of an account that is a number, which YAML reads as a number."""
    return str(value) if type(value) is int else value


def _as_switch(value: object) -> object:
    """Snakemake's ``--config`` leaves ``true`` a text, which YAML does not."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_as_switch)]
Word = Annotated[str, BeforeValidator(_as_text), AfterValidator(_is_one_word)]


class Execution(Frozen):
    """The settings; for None, Slurm or the profile decides."""

    gpus: Annotated[int, Field(ge=0)] | None = None
    """GPUs of each training job; decoding and step times use one. 0: everything runs on CPUs."""
    gpu_model: Word | None = None
    """The cluster's name of the model, such as ``a100``."""
    gres: Annotated[str, AfterValidator(_is_gpus)] | None = None
    """``gpu`` or ``gpu:a100``, for a cluster that wants ``--gres`` instead of ``--gpus``."""
    graphs: Switch = False
    """Training steps on a GPU run as CUDA graphs: fewer launches, the same runs."""
    deterministic: Switch = False
    """Training on a GPU gives the same bits each time, and is slower."""
    portable: Switch = False
    """Processors use kernels that give the same numbers on all of them, and take two to three times as long."""
    container: Word | None = None
    """Image in which jobs run with ``--sdm apptainer``: a file, or an address such as ``docker://...``."""
    slurm_account: Word | None = None
    slurm_partition: Word | None = None
    slurm_extra: str | None = None
    """Further options of ``sbatch`` for every job, such as ``--exclude=node7``."""

    @model_validator(mode="after")
    def _portable_kernels_are_of_processors(self) -> "Execution":
        if self.portable and not is_possible():
            raise ValueError("'portable' is for x86-64 processors; this one is of another kind, so leave it out")
        if self.portable and (self.gpus or self.gres is not None or self.gpu_model is not None):
            raise ValueError("'portable' is for processors; leave it out, or the GPUs")
        return self

    @model_validator(mode="after")
    def _gpus_are_said_once(self) -> "Execution":
        if self.gres is not None and self.gpu_model is not None:
            raise ValueError(f"give the model in 'gres', such as gpu:{self.gpu_model}, and leave 'gpu_model' out")
        if self.gpus and self.gres is not None and num_gpus(self.gres) not in (1, self.gpus):
            raise ValueError(f"'gres' is {self.gres} and 'gpus' is {self.gpus}; give the number once, as 'gpus'")
        if self.slurm_extra is not None and "--signal" in self.slurm_extra:
            raise ValueError("'slurm_extra' must be without --signal, which tells training to write a checkpoint")
        return self


KEYS = frozenset(Execution.model_fields)


def without(content: Mapping[str, Any]) -> dict[str, Any]:
    """A project's content without the keys of its execution."""
    return {key: value for key, value in content.items() if key not in KEYS}


def load(content: Mapping[str, Any], folder: Path, where: str) -> Execution:
    """The settings of ``local.yaml``, if it exists; the keys beside the project's replace them.

    Args:
        content: the project's content, with the keys of its execution.
        folder: ``workflow/config``.
        where: the source of the content.

    Raises:
        ValueError: one line that names the file and key, and what would be right.
    """
    path = folder / FILE
    local = read_yaml(path) if path.is_file() and not _says_nothing(path) else {}
    parse(Execution, local, str(path))
    own = {key: value for key, value in content.items() if key in KEYS}
    return parse(Execution, local | own, where)


def _says_nothing(path: Path) -> bool:
    return all(not line.strip() or line.startswith("#") for line in path.read_text(errors="replace").splitlines())
