"""Run a DeepSeek-R1 variant on SGLang and stream its answers."""
