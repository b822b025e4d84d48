"""In: runs, as `bench.record.runs` reads them.

Out: one document, built once, and written in any of the formats.
May import: `analysis`, `trust`, `record` and what lies below; never `run`, `measure`, `plan` or `cli`.
"""
