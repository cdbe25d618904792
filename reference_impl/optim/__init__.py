"""Optimisers, schedules and averages: one module each."""
