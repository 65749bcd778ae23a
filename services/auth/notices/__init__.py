"""Messages to a person; contact points never leave this service."""
