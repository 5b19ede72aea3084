"""What people do with Kvasir in Slack: each folder has the commands, buttons, modals and texts of one feature."""
