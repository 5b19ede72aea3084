"""Split documents into passages that follow the headings."""
