"""In: records.

Out: what their rounds come to: the time of each case, the one mark, the speed of the processor; latency.
May import: `record`, `values`, `stats` and what lies below; it reads no file.
"""
