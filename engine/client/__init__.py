"""Client of one SGLang server: prompts as token ids, requests and streamed answers."""
