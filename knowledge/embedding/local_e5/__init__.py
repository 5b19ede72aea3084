"""The embedder that runs on this machine: multilingual-e5-small in int8 under onnxruntime."""
