"""The HTTP servers of this process: one plan of deadlines and limits for all of them."""
