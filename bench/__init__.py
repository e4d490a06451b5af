"""What everything costs, beside its ceiling measured in the same run (`make bench`, `make soak`)."""
