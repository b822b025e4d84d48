"""In: runs, as `bench.record.runs` reads them.

Out: times, comparisons and findings, as numbers: what a report says in words.
May import: `trust`, `record` and what lies below; pandas; never `plan`, `report`, `cli` or what measures.
"""
