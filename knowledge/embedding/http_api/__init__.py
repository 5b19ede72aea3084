"""Embed by a server that speaks OpenAI's ``/v1/embeddings``: TEI, vLLM, SGLang and others."""
