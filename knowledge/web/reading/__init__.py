"""Read pages, feeds and sitemaps, and cache what was read."""
