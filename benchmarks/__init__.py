"""Benchmarks: Fathom beside its peers, interleaved in one run, the same work on every side."""
