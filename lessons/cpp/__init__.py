"""Lesson 5: the network in C++, and what builds, feeds and measures it from Python."""
