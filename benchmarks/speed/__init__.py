"""How fast: training beside pythae, generation beside the bare decoder, loading with and without each transform.

Run ``python -m benchmarks.speed`` (the training part wants ``pip install -e ".[bench]"``). The two sides of each
comparison take turns within one run, and the ratio is taken pair by pair, because machines are noisy.
"""
