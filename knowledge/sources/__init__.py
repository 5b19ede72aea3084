"""Where documents come from: a sub-package for each kind of source, and the registry that builds them."""
