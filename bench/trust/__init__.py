"""How far a run can be trusted: disturbance, the harness's own cost, cold starts, single calls, memory, inputs.

What is measured goes raw into the block ``trust`` of each record; what is made of it is derived in `bench.trust.disturbance`
and `bench.stats.percentiles`, which know no clock and no files. The fields are in ``docs/trust.md``.
"""
