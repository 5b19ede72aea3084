"""Whether the passages of an answer support its sentences."""
