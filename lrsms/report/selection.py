"""Selects cells of a study by the values of their fields, and pairs of cells that differ only in named fields."""

from collections.abc import Collection, Sequence

from lrsms.base.hints import did_you_mean
from lrsms.report.cells import Cell
from lrsms.report.claims import BY_TARGET, SMALLER, Selection, Value
from lrsms.report.factored import joined
from lrsms.study.fields import as_text


def select(selection: Selection, cells: Sequence[Cell], where: str) -> list[Cell]:
    """The cells whose fields have the given values.

    Raises:
        ValueError: one line, with the nearest name: a field that the study does not vary, or values that no cell has.
    """
    known = list(cells[0].fields)
    for field in selection:
        if field not in known:
            hint = did_you_mean(field, known, f"varied: {', '.join(known)}")
            raise ValueError(f"{where} names '{field}', which the study does not vary; {hint}")
    preset = next((cell for cell in cells if not cell.baseline), cells[0])
    found = [cell for cell in cells if all(_has(cell, *item, preset) for item in selection.items())]
    if found:
        return found
    for field, value in selection.items():
        if not any(_has(cell, field, value, preset) for cell in cells):
            values = [text for text in dict.fromkeys(cell.fields[field] for cell in cells) if text]
            hint = did_you_mean(_text(value), values, f"values: {', '.join(values) or 'none'}")
            raise ValueError(f"{where} matches no cell: no '{field}' is '{_text(value)}'; {hint}")
    wanted = ", ".join(f"{field} {_text(value)}" for field, value in selection.items())
    raise ValueError(f"{where} matches no cell: none has {wanted} at once")


def matched(
    against: Sequence[Cell], group: Sequence[Cell], named: Collection[str], where: str
) -> list[tuple[Cell, Cell]]:
    """Pairs each cell of a group with the cell of the other group that is equal in every field that is not named.

    If each group is a single cell, these are the pair, whatever else differs between them.

    Raises:
        ValueError: one line: a cell has no such partner, or several, or is its own.
    """
    if len(against) == len(group) == 1:
        pairs = [(against[0], group[0])]
    else:
        pairs = []
        for cell in group:
            partners = [other for other in against if _rest(other, named) == _rest(cell, named)]
            if len(partners) != 1:
                raise ValueError(
                    f"{where}: '{cell.name}' has {len(partners) or 'no'} partner{'s' if partners else ''} in 'against'"
                    " alike in all else; name more axes"
                )
            pairs.append((partners[0], cell))
    if same := [cell.name for other, cell in pairs if other.name == cell.name]:
        raise ValueError(f"{where}: '{same[0]}' would be compared with itself")
    return pairs


def _has(cell: Cell, field: str, value: Value, preset: Cell) -> bool:
    if value == SMALLER:
        return _number(cell.fields[field]) < _number(preset.fields[field])
    if value == BY_TARGET and field == "lowrank.ratio":
        return bool(cell.factored.by_target)
    return cell.fields[field] == _text(value)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")  # no comparison holds


def _text(value: Value) -> str:
    return joined(value) if isinstance(value, tuple) else as_text(value)


def _rest(cell: Cell, named: Collection[str]) -> dict[str, str]:
    """The fields that are not named; a section that is named names its fields."""
    return {
        field: text
        for field, text in cell.fields.items()
        if not any(field == name or field.startswith(f"{name}.") for name in named)
    }
