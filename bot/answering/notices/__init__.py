"""What Kvasir says about its answers and its documents, in English and Chinese."""
