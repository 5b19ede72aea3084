"""Takes values out of one document by a profile: rules and the engine find them, and each names where it stands."""
