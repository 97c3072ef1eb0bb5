"""How long does it take to factorise paper-asr as LR-SMS does, and how near is that to the plain truncated SVD?

Both run on the CPU, where initial weights are made. The plain SVD is computed for one matrix of each shape.
"""

import time

import torch

from benchmarks.figure import Figure
from benchmarks.shipped import experiments_of
from lrsms.base.random_streams import stream
from lrsms.cost.random_data import vocabulary
from lrsms.methods import factors
from lrsms.methods.factorize import all_factors
from lrsms.methods.plan import Matrix, make_plan
from lrsms.models.initial import fill_matrix
from lrsms.models.recognizer import Recognizer

SMALL = Matrix("small", "small", "", 0, 1, factors.SMALL, factors.SMALL, factors.SMALL, factors.SMALL // 4)


def measure(device: torch.device, small: bool) -> list[Figure]:
    """Seconds for all matrices; and for each shape the error, and the plain SVD's seconds over ours.

    The small form has one matrix, of the least size for which the plain SVD is not used.
    """
    plan = [SMALL] if small else paper_plan()
    weights = [torch.empty(matrix.rows, matrix.columns) for matrix in plan]
    for weight, matrix in zip(weights, plan, strict=True):
        fill_matrix(weight, "default", stream(1, "weights", matrix.name))
    began = time.perf_counter()
    all_factors(weights, plan, "spectral", "default", 1)
    seconds = time.perf_counter() - began
    first = {
        tuple(weight.shape): (weight, matrix) for weight, matrix in reversed(list(zip(weights, plan, strict=True)))
    }
    shapes = {shape: against_plain(*pair) for shape, pair in first.items()}
    figures = [Figure(f"{len(plan)} matrices", seconds, "s", "" if small else "< 20", {"ratio": 0.25})]
    for (rows, columns), (error, times) in shapes.items():
        figures.append(Figure(f"{rows} x {columns}: error of the product", error, "of its norm", "< 1e-9"))
        figures.append(Figure(f"{rows} x {columns}: plain SVD over ours", times, "x", "> 1"))
    return figures


def paper_plan() -> list[Matrix]:
    """The matrices that LR-SMS factorises, at a quarter of full rank on average."""
    experiments = experiments_of("lrsms", "paper", "librispeech")
    run = next(e.run for e in experiments if e.run.lowrank is not None)
    with torch.device("meta"):
        model = Recognizer(run.model, vocabulary(run))
    return [matrix for matrix in make_plan(model, run.lowrank) if matrix.rank is not None]


def against_plain(weight: torch.Tensor, matrix: Matrix) -> tuple[float, float]:
    """The relative error of the product in float64, and how many times longer the plain SVD takes."""
    rank = matrix.rank
    assert rank is not None
    began = time.perf_counter()
    u, s, vt = torch.linalg.svd(weight.double(), full_matrices=False)
    plain = time.perf_counter() - began
    began = time.perf_counter()
    ours, values, vectors = factors.truncated_svd(weight, rank)
    taken = time.perf_counter() - began
    reference = (u[:, :rank] * s[:rank]) @ vt[:rank]
    return float(((ours * values) @ vectors - reference).norm() / reference.norm()), plain / taken
