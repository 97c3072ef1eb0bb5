"""The record of a run: the names of its files, its scores, its curve and how it ended. No torch."""
