"""In: what `bench.analysis` and `bench.trust` found.

Out: sections of a document, with sentences, tables and figures.
May import: what `bench.report` may, and the document; never `charts`, which call a noun by the same name.
"""
