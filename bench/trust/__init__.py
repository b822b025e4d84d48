"""How far a run can be trusted: disturbance, the clock, the pace of the processor, latency, inputs, the timeline.

Records come in; grades, reasons and findings go out. It may import record, values, stats and errors, and reads no file.
"""
