"""Decide how a model runs on a machine: hardware, models, memory, speed, and the plans that fit. Mostly pure."""
