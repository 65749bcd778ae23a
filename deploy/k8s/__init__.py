"""The manifests for Kubernetes, and what holds them to the code: rendered, validated, compared."""
