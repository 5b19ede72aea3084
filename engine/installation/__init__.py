"""Install SGLang into an environment of its own."""
