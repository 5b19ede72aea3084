"""The engines that can answer: the one of this machine, one of another process, or remote servers."""
