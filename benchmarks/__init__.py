"""Performance as ratios against something measured in the same run: ``make bench`` (``python -m benchmarks``)."""
