"""Choose the sentences of passages that answer a question, without a model or beside its answer."""
