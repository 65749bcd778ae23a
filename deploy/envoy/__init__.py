"""The public edge: one Envoy configuration for the embedded suite and for Kubernetes."""
