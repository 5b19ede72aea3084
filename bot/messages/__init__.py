"""Every text that a person sees in Slack, in English and Chinese, one module for each area."""
