"""The matrices of a dense model, with the role and the depth that its blocks and stacks declare."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import nn

from lrsms.methods.plan import Matrix
from lrsms.models.layers import QKV, Block, Stack


def list_matrices(model: nn.Module, fused: bool) -> list[Matrix]:
    """Every ``nn.Linear`` of the model, in model order; with ``fused``, each ``QKV`` as one.

    Blocks say the roles of their matrices, and stacks the depth (see ``models.layers.Block`` and ``Stack``). A matrix
    that is in no block has its name as its role.
    """
    return list(_matrices(model, _Place(), fused))


@dataclass(frozen=True)
class _Place:
    """The place of a module in the model.

    Attributes:
        name: name of the module.
        kind: that name with ``*`` for the places within stacks.
        role: role of its matrices; empty outside of blocks.
        stack: name of the module that holds the outermost stack around it; empty outside.
        layer: number of blocks of that stack before it.
        layers: number of blocks of that stack.
    """

    name: str = ""
    kind: str = ""
    role: str = ""
    stack: str = ""
    layer: int = 0
    layers: int = 1

    def child(self, leaf: str, is_place: bool) -> "_Place":
        """The place of a direct child; ``is_place``: whether it is one of the places within a stack."""
        dot = "." if self.name else ""
        return replace(self, name=f"{self.name}{dot}{leaf}", kind=f"{self.kind}{dot}{'*' if is_place else leaf}")


def _matrices(module: nn.Module, place: _Place, fused: bool) -> Iterator[Matrix]:
    if isinstance(module, nn.Linear) or (fused and isinstance(module, QKV)):
        yield _matrix([module] if isinstance(module, nn.Linear) else [module.q, module.k, module.v], place)
        return
    holder = place.name.rpartition(".")[0]
    if isinstance(module, Stack) and not place.stack:
        place = replace(place, stack=holder or place.name, layers=_num_blocks(module))
    layer = place.layer
    for leaf, child in module.named_children():
        below = replace(place.child(leaf, isinstance(module, Stack)), layer=layer)
        if isinstance(module, Block) and leaf in module.roles and not place.role:
            around = place.stack or holder
            below = replace(below, role=f"{around}.{module.roles[leaf]}" if around else module.roles[leaf])
        yield from _matrices(child, below, fused)
        if place.stack and not isinstance(module, Block):
            layer += _num_blocks(child)


def _matrix(linears: list[nn.Linear], place: _Place) -> Matrix:
    rows = sum(linear.out_features for linear in linears)
    bias = sum(linear.out_features for linear in linears if linear.bias is not None)
    shape = rows, linears[0].in_features, bias
    if not place.role:  # a matrix between the blocks of a stack has no depth
        return Matrix(place.name, place.name, "", 0, 1, *shape)
    return Matrix(place.name, place.role, place.stack, place.layer, place.layers, *shape, kind=place.kind)


def _num_blocks(module: nn.Module) -> int:
    """Blocks in a module, itself included; blocks inside blocks do not count."""
    return 1 if isinstance(module, Block) else sum(_num_blocks(child) for child in module.children())
