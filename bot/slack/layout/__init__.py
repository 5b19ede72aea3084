"""The final form of a complete answer: tables as blocks, long code as files, long answers as documents."""
