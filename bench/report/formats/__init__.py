"""Formats of a document; each escapes what it is given."""
