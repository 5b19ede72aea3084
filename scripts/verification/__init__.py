"""Public human-labelled data for the sentence verifier: loaders, changes made by code, the registry of sets."""
