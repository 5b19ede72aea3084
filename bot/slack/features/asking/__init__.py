"""Ask by command, by modal or in private, also for other apps."""
