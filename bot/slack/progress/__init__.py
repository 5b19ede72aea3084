"""What people see before an answer: the plan, the status line, the place in line."""
