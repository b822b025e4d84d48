"""In: what `bench.analysis` and `bench.trust` found. Out: sections of a document, with sentences, tables and figures.

May import: what `bench.report` may, and the document; never charts or formats. A noun has the same file name in charts.
"""
