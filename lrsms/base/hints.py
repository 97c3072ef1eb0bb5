"""Helps error messages about unknown names: they ask for the nearest name that is known."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """Asks whether the nearest of the known names was meant; ``otherwise`` where none is near."""
    near = get_close_matches(name, list(known), n=1)
    return f"did you mean '{near[0]}'?" if near else otherwise
