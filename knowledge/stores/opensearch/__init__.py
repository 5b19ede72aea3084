"""Store indexes on OpenSearch or Elasticsearch, which differ in a dialect."""
