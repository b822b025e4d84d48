"""The parent: one process for each kernel and repeat. A plan comes in; folders of result files go out.

It may import plan, machine, trust, record and data, and never measure: parent and child talk by arguments and files.
"""
