"""The doctor of one meter: what is right, what is to be mended, and how.

The one rule: a finding is data, a check is a small function, and one that fails never ends the others.
"""
