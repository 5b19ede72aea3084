"""Start SGLang, watch it and restart it."""
