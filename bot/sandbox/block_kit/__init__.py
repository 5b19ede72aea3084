"""Block Kit as Slack checks it: blocks, elements, views."""
