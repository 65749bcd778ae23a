"""The embedded suite: the real parts on one machine, for `make up`, `make demo` and the tests."""
