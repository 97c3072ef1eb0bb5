"""Makes cells, tables, verdicts, figures and pages from records."""
