"""Text in Slack's formats: Markdown, rich text, tables, and where to cut them."""
