"""The child: pytest's hooks, the gate, the timed case, and what is watched beside it. Options come in, a record goes out.

It may import plan, machine, trust, record, data and kernels, and never run, analysis, report or pandas.
"""
