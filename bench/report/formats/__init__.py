"""In: a document.

Out: text in one format, or tables for a terminal; each format escapes what it is given.
May import: the document, `sections`, and the library of its format; `html` imports `charts`.
"""
