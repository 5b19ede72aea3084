"""Embed on this machine, with multilingual-e5-small in int8 under onnxruntime."""
