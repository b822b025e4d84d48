"""In: runs, as `bench.record.runs` reads them. Out: one document, built once, and written in any of the formats.

May import: analysis, trust, record, words, stats, errors; Altair in `charts` alone; never run, measure, plan or cli.
"""
