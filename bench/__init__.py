"""Benchmarks, each with a ceiling measured in the same run (`make bench`, `make soak`)."""
