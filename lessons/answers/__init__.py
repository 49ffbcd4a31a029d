"""Answers to the exercises, one module for each lesson."""
