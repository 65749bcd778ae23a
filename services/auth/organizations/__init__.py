"""Organizations and projects: who owns wallets, keys, videos and files."""
