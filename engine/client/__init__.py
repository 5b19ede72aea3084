"""Talk to one SGLang server: prompts as tokens, requests, and streamed answers."""
