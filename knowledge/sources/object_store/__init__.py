"""Object stores as a source: S3, GCS, Azure and anything else that fsspec opens."""
