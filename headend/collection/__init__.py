"""Collection: what every meter owes is asked for, segment by segment, until it is stored, proven absent or expired.

`dispatcher` finds what is due and makes jobs, `jobs` runs them on whichever node is free, `collector` does one
segment's job as many sessions at once, `sessions` opens the association that each needs, `visit` is one meter in one
session.
"""
