"""Read and check the environment and ``kvasir.toml``."""
