"""Sections of a document: sentences, tables and figures of what `bench.analysis` and `bench.trust` found."""
