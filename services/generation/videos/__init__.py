"""Videos: the task, from its order to its settled end."""
