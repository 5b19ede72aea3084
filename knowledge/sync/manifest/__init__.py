"""The manifest: which passages of which documents are current, and who may read them."""
