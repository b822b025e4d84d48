"""In: the data of a figure, and the kernels of the page.

Out: its Altair specification, as a dictionary.
May import: what `bench.report` may, the words of `sections`, and Altair, which nothing else imports.
"""
