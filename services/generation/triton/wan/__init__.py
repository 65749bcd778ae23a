"""The diffusers pipelines of the Wan family as one Triton model, under the name of what the mounted weights can do."""
