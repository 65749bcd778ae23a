"""The services of the suite, and the runtime they stand on."""
