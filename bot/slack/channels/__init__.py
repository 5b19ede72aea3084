"""The rules of a channel, from kvasir.toml and its settings, and changes of them."""
