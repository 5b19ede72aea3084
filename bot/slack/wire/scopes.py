"""The scopes of the app's token."""

SCOPES = {
    "app_mentions:read": "see where it is mentioned",
    "assistant:write": "show that it is at work, with a Stop button, and suggest questions",
    "canvases:write": "show long answers as canvases",
    "channels:history": "read a thread of a public channel, to answer in it or as a source",
    "channels:read": "tell a channel that is shared with another company, and list those that are a source",
    "chat:write": "answer",
    "commands": "take /kb and /think",
    "files:read": "read the files of a question and of its thread",
    "files:write": "show long code as files, and long answers where canvases are not allowed",
    "groups:history": "read a thread of a private channel that it was invited to",
    "groups:read": "tell a private channel that is shared with another company",
    "im:history": "read direct messages to it",
    "mpim:history": "read group messages that it is in",
    "mpim:read": "see who reads a group message",
    "reactions:read": "leave a thread alone when somebody adds 🔇 to an answer",
    "usergroups:read": "see who is in the user groups that a document names as its readers",
    "users:read": "read names in place of user ids, and know guests and the language of a person's Slack",
    "users:read.email": "match a person with the accounts that a source names as its readers",
}

REQUIRED_SCOPES = ("app_mentions:read", "chat:write")
"""The scopes without which nothing works; each other scope enables one feature."""
