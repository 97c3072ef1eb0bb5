"""Frobenius decay: the product of two factors decays, instead of each factor by itself.

Khodak et al. 2021, "Initialization and regularization of factorized neural layers" (arXiv 2105.01029), section 3. The
penalty is ``lambda / 2 ||U V^T||_F^2``, whose gradients are ``lambda U V^T V`` and ``lambda V U^T U``. The usual
decay of the factors is ``lambda / 2 (||U||_F^2 + ||V||_F^2)``. For balanced factors, this is lambda times the sum of
the singular values of the product, so it makes ranks low. Frobenius decay does not.

As AdamW does with its decay (Loshchilov and Hutter 2019), the gradient of the penalty does not pass through the
optimizer: after each step, ``U <- U - lr lambda U V^T V``, and likewise V at the same time. The optimizer's own decay
is off for the factors. All other parameters decay as usual.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from lrsms.methods.product import Product, factors
from lrsms.study.bounds import Decay
from lrsms.study.method import LEFT, Planned

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Frobenius(Product):
    """Plain low rank with another weight decay; at decay 0 it is plain low rank to the bit."""

    decays_factors: ClassVar[bool] = True

    name: Literal["frobenius"]
    decay: Decay | None = None
    """lambda; None: ``train.weight_decay``."""

    def after_step(
        self, model: "nn.Module", plan: Sequence[Planned], optimizer: "torch.optim.Optimizer", step: int, total: int
    ) -> None:
        """Decays every product, at the learning rate of the step."""
        rates = {
            parameter: group["lr"] * (group[LEFT] if self.decay is None else self.decay)
            for group in optimizer.param_groups
            if LEFT in group
            for parameter in group["params"]
        }
        for u, vt in factors(model, plan):
            shrink(u, vt, rates[u], rates[vt])


def shrink(u: "Tensor", vt: "Tensor", rate_u: float, rate_v: float) -> None:
    """One step of ``U (m, r)`` and ``V^T (r, n)`` in place, both computed from the old values; a rate is lr lambda."""
    gram_u, gram_v = u.mT @ u, vt @ vt.mT
    u.sub_(u @ gram_v, alpha=rate_u)
    vt.sub_(gram_u @ vt, alpha=rate_v)
