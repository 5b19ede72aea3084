"""Block Kit as Slack checks it: blocks and views."""
