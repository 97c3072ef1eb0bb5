"""Figures of a study, one file for each kind: ``names`` says which ones a study has, ``write`` draws them."""
