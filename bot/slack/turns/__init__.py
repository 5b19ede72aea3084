"""From a question in Slack to its answer: order, leases and recovery."""
