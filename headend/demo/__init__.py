"""`headend demo`: the main job end to end on this machine: simulated meters, real sockets, a real database.

What is shown is measured, and every stored value is compared with what the simulator says that its meters said.
"""
