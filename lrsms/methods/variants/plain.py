"""Plain low rank: factors from the first step on, trained like any weights. ``lowrank.method`` None means this."""

from typing import Literal

from lrsms.methods.product import Product


class Plain(Product):
    """Factors with the start that ``lowrank.init`` names."""

    name: Literal["plain"] = "plain"
