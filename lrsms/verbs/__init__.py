"""The verbs of the command line, each a function beside its arguments: ``running``, ``reporting`` and ``looking``."""
