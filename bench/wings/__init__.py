"""In: a judged run, or what a process of a run has measured.

Out: sections, charts and commands: a folder for each capability, which can be deleted.
May import: all of the core, which imports none of them (it asks `bench.registered`), and no other wing.
"""
