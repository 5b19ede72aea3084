"""Find out why a run of SGLang ended, and choose a plan that needs less memory."""
