"""The project: ``config.yaml`` with the settings of the command line."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from lrsms.base.strict import Frozen
from lrsms.study.bounds import Name
from lrsms.study.corpus import Corpus
from lrsms.study.decoding import Conditions, Decoders, Decoding
from lrsms.study.run import MODALITIES, Task
from lrsms.study.tuning import Tuned


class Project(Frozen):
    """``workflow/config/config.yaml`` after Snakemake's ``--config`` overrides."""

    study: Name
    task: Task
    scale: Name
    corpus: Name
    roots: dict[str, str] = Field(default_factory=dict)
    """The folder of each recorded corpus on this machine."""
    decoders: Decoders
    decoders_of: dict[Name, Decoders] = Field(default_factory=dict)
    """Decoders by scale, which replace ``decoders`` there."""
    conditions: dict[Task, Conditions]
    """Test conditions by task: the tasks differ in modalities."""
    corpora: dict[Name, Corpus] = Field(default_factory=dict)
    """The corpora that conditions name, as their files describe them; ``testsets.with_test_corpora`` reads them."""
    seeds: Literal["adaptive"] | dict[str, Annotated[int, Field(ge=1, le=1000)]] | None = None
    """None: the seeds of the study. ``adaptive``: more seeds, look by look, where a claim is undecided. A mapping holds
    what has been added so far: the number of seeds of each cell that has more than the study says."""
    tuned: dict[str, Tuned] | None = None
    """Of a study that tunes, by cell: what its records say. None: they have not been asked yet."""
    budget: Annotated[float, Field(gt=0)] | None = None
    """Hours of training that added seeds may take; None: no limit."""

    @field_validator("seeds", mode="before")
    @classmethod
    def _numbers_may_be_text(cls, given: Any) -> Any:
        """Snakemake's ``--config`` reads the numbers inside a mapping as text."""
        if isinstance(given, dict):
            for name, number in given.items():
                if not str(number).isdecimal() or not 1 <= int(number) <= 1000:
                    raise ValueError(f"has {number!r} for '{name}'; give a number of seeds, 1 to 1000")
            return {name: int(number) for name, number in given.items()}
        if given not in (None, "adaptive"):
            raise ValueError("must be 'adaptive', or the number of seeds of some cells, such as {dense: 6}")
        return given

    @model_validator(mode="after")
    def _conditions_suit_their_task(self) -> Self:
        if self.task not in self.conditions:
            raise ValueError(f"'conditions' has none for task '{self.task}'")
        for task, conditions in self.conditions.items():
            for name, condition in conditions.items():
                if condition.noise is not None and "audio" not in MODALITIES[task]:
                    raise ValueError(f"'conditions.{task}.{name}.noise' is for audio, which '{task}' does not have")
                if condition.without is not None and task != "avsr":
                    raise ValueError(f"'conditions.{task}.{name}.without' is for task 'avsr'")
        if self.knows_its_test_corpora:
            _ = self.decoding  # which has rules of its own
        return self

    def root_of(self, corpus: Corpus) -> Path | None:
        """The folder that ``roots`` gives to a corpus, if any."""
        root = self.roots.get(corpus.name)
        return Path(root) if root else None

    @property
    def test_corpora(self) -> list[str]:
        """Names of the corpora that conditions of any task have."""
        conditions = [one for named in self.conditions.values() for one in named.values()]
        return list(dict.fromkeys(one.corpus for one in conditions if one.corpus is not None))

    @property
    def knows_its_test_corpora(self) -> bool:
        """Whether the files of these corpora were read."""
        return set(self.test_corpora) <= set(self.corpora)

    @property
    def decoding(self) -> Decoding:
        """How every run of the study is decoded.

        The corpora of its conditions must have been read.
        """
        assert self.knows_its_test_corpora, "a project is completed by testsets.with_test_corpora"
        decoders, conditions = self.decoders_of.get(self.scale, self.decoders), self.conditions[self.task]
        named = {one.corpus for one in conditions.values() if one.corpus is not None}
        corpora = {name: corpus for name, corpus in self.corpora.items() if name in named}
        return Decoding(decoders=decoders, conditions=conditions, corpora=corpora or None)
