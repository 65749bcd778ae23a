"""Models: what is on offer, and whether an instance runs."""
