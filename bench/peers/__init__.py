"""`make bench-peers`: other servers doing as much of submit and poll as they can, beside ours in the same run."""
