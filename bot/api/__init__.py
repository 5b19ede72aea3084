"""An HTTP API for other programs, over the same answers, rights and limits as Slack: OpenAI's, MCP and its own."""
