"""The laws of the package, in rooms that mirror it.

A package, so that no `tests` of another distribution is found in its place.
"""
