"""Pushes: what meters send unasked, from the socket or the broker to the intake.

    senders     whom an APDU claims to be from
    meters      registered meters and their keys, a batch in one query, the recent ones in memory
    contents    an opened push as a `Finished`; `blocks` has the fast way for a block of load profile
    arrivals    the line of arrivals: batches are looked up, opened, handed to the intake, confirmed when they are safe
    discovered  those that nobody has registered
    mqtt        pushes that gateways publish to a broker
    listener    `open_listener`: all of it, as settings say

The one rule: a push is confirmed, or acknowledged to the broker, only when it is durable; until then it may be lost,
and comes again. What is not taken is counted and told.
"""
