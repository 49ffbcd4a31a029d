"""Sweeps: many trainings that differ in settings, seeds and folds of the data.

Modules, in the order in which they may import each other: settings, trial, results, search, plots,
page, command.
"""
