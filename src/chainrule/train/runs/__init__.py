"""Runs of the command line: a folder with a config, a history, a model and a report.

Modules, in the order in which they may import each other: architecture, config,
texts, configure, run, plots, page.
"""
