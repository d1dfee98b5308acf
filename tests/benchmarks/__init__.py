"""the benchmarks: each `bench_*.py` here has `run() -> list[Ratio]`; `make bench` runs them all"""
