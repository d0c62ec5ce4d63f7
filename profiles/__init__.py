"""What a meter is: values, meter types and the rules that turn a profile buffer into intervals.

Data and values only; nothing here opens a file but the meter type loader, nothing talks to a meter,
and nothing imports from `drivers`, `headend` or `simulators`.
"""
