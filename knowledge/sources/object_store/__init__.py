"""Object stores as a source: S3, GCS, Azure and what else fsspec opens."""
