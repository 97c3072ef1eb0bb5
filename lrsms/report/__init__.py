"""From records to what is read: cells, tables, verdicts, figures and pages."""
