"""`make bench`: the gateway beside other proxies, one run, one machine; see docs/benchmarks.md."""
