"""In: records.

Out: how far they can be trusted: disturbance, clock, pace of the processor, latency, timeline.
May import: `record`, `values`, `stats` and what lies below; it reads no file.
"""
