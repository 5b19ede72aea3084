"""Rules over a table of transactions: the accounts that they hit, for people who decide."""
