"""How Filmgate is run: on one machine (local), behind Envoy (envoy)."""
