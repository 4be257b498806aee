"""Masks over weights: scores, patterns, schedules and selection."""
