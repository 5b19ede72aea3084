"""Read and cache pages, and parse feeds and sitemaps."""
