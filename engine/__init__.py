"""The runtime that hosts the chosen DeepSeek-R1 variant on SGLang and streams what it says."""
