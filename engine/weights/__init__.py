"""Get a model's weights from a hub, a bucket or a folder, and verify them."""
