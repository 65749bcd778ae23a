"""The worker: takes a video from the queue, has Triton make it, labels it, publishes it; and runs all other jobs."""
