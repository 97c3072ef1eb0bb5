"""The seam for methods: what a run makes of its planned matrices, and what it does to them while it trains.

A method is a file in ``lrsms/methods/variants``, whose name is the value of ``lowrank.method.name``. The file holds one
class, derived from ``Method``: its fields are the method's own parameters, its functions are what the method does. Such
a file may be read where there is no PyTorch, so it imports PyTorch, and what needs it, inside its functions.

Of one matrix ``W (m, n)`` a method counts the numbers that take its place and the multiply-adds for one vector. Over
time it may change the structure of the network at shares of the training that are known before it begins, and act
before and after every update of the weights. Each part between two changes is a *phase*; the first is phase 0.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Protocol

from lrsms.base.strict import Frozen

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from lrsms.study.lowrank import LowRank
    from lrsms.study.run import Run

LEFT = "decay_left"
"""Key of an optimizer's group of factors: the decay that the optimizer leaves to the method."""


class Planned(Protocol):
    """A matrix of a plan, as far as methods need it: see ``lrsms.methods.plan.Matrix``."""

    @property
    def name(self) -> str:
        """Of its module in the network."""

    @property
    def rows(self) -> int:
        """m, outputs."""

    @property
    def columns(self) -> int:
        """n, inputs."""

    @property
    def rank(self) -> int | None:
        """r; None: the method leaves this matrix dense."""


class Method(Frozen):
    """What all methods have in common. The defaults are those of ``U V^T``; where another form differs, it overrides.

    The name of the file, ``name``, is a field of each method: ``name: Literal["warmup"]``.
    """

    keeps_moments: ClassVar[bool] = False
    """Whether the optimizer's state of a parameter outlives a change of structure, where a parameter of the same name
    and shape does. False: the optimizer is built anew."""
    own_start: ClassVar[str] = ""
    """How the matrices start, where ``lowrank.init`` has no say: ends "but method 'cola' ..."."""
    discards_matrix: ClassVar[bool] = False
    """Whether what the method starts with has nothing of the dense matrix. Then it cannot start from trained ones."""
    cuts_trained: ClassVar[bool] = False
    """Whether all steps are those of the dense run, and ``finish`` cuts its trained matrices. Then ``lowrank.cut_by``
    says how, and a dense run that has ended need not be trained again."""
    decays_factors: ClassVar[bool] = False
    """Whether the method lets the factors decay, in place of the optimizer. Then the optimizer's groups of factors have
    no decay, and hold under ``LEFT`` the one that they would have had."""

    def refuse(self, lowrank: "LowRank") -> None:
        """Refuses other fields of ``lowrank`` that have no meaning beside this method: an initialisation of its own.

        Raises:
            ValueError: one line.
        """
        if self.own_start and lowrank.init != "spectral":
            name = str(self).split()[0]
            raise ValueError(
                f"'lowrank.init' is '{lowrank.init}', but method '{name}' {self.own_start}; leave 'init' out"
            )

    def refuse_matrix(self, matrix: Planned) -> None:
        """Refuses a matrix, which has a rank, that the method cannot be used for.

        Raises:
            ValueError: one line that names the matrix.
        """

    def __str__(self) -> str:
        """Its name and its parameters: ``warmup share 0.3``."""
        fields = self.model_dump(exclude_none=True)
        own = (f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in fields.items())
        return " ".join(text.removeprefix("name ") for text in own)

    def describe(self) -> str:
        """The course of training in a few words, for tables, such as ``dense for the first 30% of its steps, then low
        rank``; empty where the structure never changes."""
        return ""

    # What it counts, of a matrix that has a rank; biases are not counted.

    def parameters(self, rows: int, columns: int, rank: int) -> int:
        """Numbers in place of ``W (rows, columns)`` when training ends."""
        return rank * (rows + columns)

    def operations(self, rows: int, columns: int, rank: int) -> int:
        """Multiply-adds in place of ``rows * columns``, for one vector, when training ends."""
        return self.parameters(rows, columns, rank)

    # When the structure changes.

    def changes(self) -> tuple[float, ...]:
        """Shares of the training's steps, rising, after which the structure changes; none by default."""
        return ()

    @property
    def phase_shares(self) -> list[float]:
        """The share of the training that each phase takes; they sum to 1."""
        return [after - before for before, after in pairwise((0.0, *self.changes(), 1.0))]

    def changes_at(self, total: int, first_averaged: int) -> list[int]:
        """The steps after which the structure changes.

        Args:
            total: steps of the training.
            first_averaged: step of the first snapshot that counts in the final weights.

        Raises:
            ValueError: one line: a phase would have no step, or snapshots of different structures would be averaged.
        """
        if not self.changes():
            return []
        steps = [round(share * total) for share in self.changes()]
        what = f"'lowrank.method' is '{self}', whose network changes after step {', '.join(map(str, steps))} of {total}"
        if any(before >= after for before, after in pairwise((0, *steps, total))):
            raise ValueError(f"{what}: each of its phases needs a step; train longer, or change the share")
        if first_averaged < steps[-1]:
            raise ValueError(
                f"{what}, but 'train.average' begins at the snapshot of step {first_averaged}: snapshots of different"
                " structures have no mean; average fewer, or change earlier"
            )
        return steps

    # What it does. ``plan`` is of the whole network; matrices without a rank stay dense.

    @abstractmethod
    def start(self, model: "nn.Module", plan: Sequence[Planned], run: "Run") -> None:
        """Makes the network of phase 0 out of the dense network, in place.

        Args:
            model: dense, with its initial weights; on the meta device, only shapes matter.
            plan: its matrices.
            run: the run.
        """

    def change(self, model: "nn.Module", plan: Sequence[Planned], run: "Run", phase: int) -> None:
        """Makes the network of ``phase`` (1 or more) out of that of the phase before it, in place.

        The new weights are a function of the old ones. On the meta device, only shapes matter. It is called for each of
        ``changes``.
        """
        raise TypeError(f"method '{self}' has 'changes', and so needs 'change'")

    def finish(self, model: "nn.Module", plan: Sequence[Planned], run: "Run") -> None:
        """Makes the network that is decoded out of that of the last phase, in place; by default it is the same.

        Its weights are the final ones, the mean over snapshots. On the meta device, only shapes matter.
        """

    @property
    def finishes(self) -> bool:
        """Whether ``finish`` does anything."""
        return type(self).finish is not Method.finish

    def before_step(self, model: "nn.Module", plan: Sequence[Planned], step: int, total: int) -> None:
        """Called when the gradients of a step are complete and clipped, before the optimizer uses them.

        Args:
            model: with its gradients, which may be changed.
            plan: its matrices.
            step: counted from 0.
            total: steps of the training.
        """

    def after_step(
        self, model: "nn.Module", plan: Sequence[Planned], optimizer: "torch.optim.Optimizer", step: int, total: int
    ) -> None:
        """Called without gradients when the optimizer has moved the weights; they and its state may be changed.

        What is changed must be a function of these arguments: random numbers come from a stream of the run's seed and
        the step, and what is remembered is a buffer of the network. Then an interrupted run ends with the same bits.
        """

    # What is made of the trained weights.

    def num_singular_values(self, rows: int, columns: int, rank: int) -> int:
        """How many singular values are kept of what stands for ``W (rows, columns)``; the others are 0."""
        return rank

    @abstractmethod
    def singular_values(self, weights: "Mapping[str, Tensor]", matrix: Planned) -> "Tensor":
        """The ``num_singular_values`` of what stands for ``W``: float64, largest first.

        Args:
            weights: the trained network's state dict.
            matrix: has a rank.
        """
