"""Public data, labelled by people, for the sentence verifier: the sets, their loaders, changes, and fits."""
