"""Figures of a study, each a file of its own: ``names`` says which a study has, ``write`` draws them."""
