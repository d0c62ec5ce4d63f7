"""What is done to one meter by hand: its clock, relay, limiter, pushes and capture period, or any attribute or method.

The one rule: `doing.carry_out` is the only way by which a command changes a meter.
"""
