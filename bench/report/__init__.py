"""The report: one document, built from runs, written in several formats."""
