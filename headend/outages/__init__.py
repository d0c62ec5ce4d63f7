"""Outages: what events, silence and answers of meters say together of where there is no power.

`evidence` is what an event says, `correlator` follows events and keeps the outages, `listing` shows them.
"""
