"""The billing service: prices, wallets, holds, and the journal of every movement of money."""
