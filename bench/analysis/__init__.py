"""What results mean: runs come in; times, comparisons and findings go out.

It may import trust, record, cases, words and stats, and never report, plan, cli or what measures.
"""
