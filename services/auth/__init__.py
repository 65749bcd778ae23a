"""The auth service: who a person is, what proves it, and what the edge may let through."""
