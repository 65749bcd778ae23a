"""The videos room: the task, from its order to its settled end."""
