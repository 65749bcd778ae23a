"""Envoy's external authorization: who calls, may he, and as whom."""
