"""What a published video says of itself: the visible label and the `AIGC` metadata, written once and read back."""
