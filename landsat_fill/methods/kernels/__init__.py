"""Loops over pixels, compiled by numba when a method first runs them. Imported by nothing else at its top."""
