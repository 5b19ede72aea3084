"""Embed on this machine, with multilingual-e5-small in int8 under onnxruntime."""

import os

# Since 1.29, onnxruntime reports to Microsoft what runs where, unless this is set before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
