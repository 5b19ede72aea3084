"""Public data, labelled by people, for the sentence checker: the sets, their loaders, changes, and fits."""
