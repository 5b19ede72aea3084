"""Two stores behind one interface: LanceDB (embedded) and Weaviate."""
