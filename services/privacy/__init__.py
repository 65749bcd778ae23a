"""Privacy: the published policies, who accepted which, and the record of what operators and the system did."""
