"""Everything that knows Slack: listeners, turns, replies, rendering."""
