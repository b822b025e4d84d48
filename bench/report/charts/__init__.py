"""In: the data of a figure, and the kernels of the page.

Out: its specification in the JSON of Vega-Lite, as a dictionary; nothing here draws.
May import: what `bench.report` may, and the words of `sections`.
"""
