"""Who will see an answer: people, channels and user groups of Slack, and the viewers that follow from them."""
