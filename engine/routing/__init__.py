"""Queue requests and choose the server that answers each one."""
