"""Plain low rank: factors from the first step on, trained as any weights are. ``lowrank.method`` None means this."""

from typing import Literal

from lrsms.methods.product import Product


class Plain(Product):
    """Factors that start as ``lowrank.init`` says."""

    name: Literal["plain"] = "plain"
