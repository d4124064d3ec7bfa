"""Thin adapters to the ecosystems in which people already work; no algorithm lives here.

Each module needs its own ecosystem only, so nothing is imported here.
"""
