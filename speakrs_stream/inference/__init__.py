"""Runtimes that run networks; the only files that import one."""
