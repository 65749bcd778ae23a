"""The generation service: videos from prompts and pictures."""
