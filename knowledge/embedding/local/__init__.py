"""What embedders on this machine share: the queue of texts, the thread that computes, and onnxruntime."""

import os

# Since 1.29, onnxruntime reports to Microsoft what runs where, unless this is set before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
