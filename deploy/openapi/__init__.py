"""The OpenAPI document and its page, made from the contracts, the edge's plain routes and the services' policies."""
