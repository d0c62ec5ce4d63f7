"""The spool: what came in waits on a disk while the database is away.

    encoding  what waits, as octets
    file      the SQLite file, its size and its entries
    spool     the file in a thread of its own: what the running system uses

The one rule: what `append` returned from survives SIGKILL and loss of power, until it is removed, because it is stored,
or a person drops it.
"""
