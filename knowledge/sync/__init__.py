"""Keep the store equal to the sources: a pure plan, a runner, and the manifest."""
