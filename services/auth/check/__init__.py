"""Envoy's external authorization: who calls, may they, and as whom."""
