"""The Triton model repository, the one contract of its video models, and the client that speaks it."""
