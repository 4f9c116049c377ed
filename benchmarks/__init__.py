"""Measure the real system: what it delivers, how fast, at what cost, and what its parts could do at most.

`make bench` runs it (__main__.py); what the results mean is in docs/benchmarks/README.md, which it writes.
"""
