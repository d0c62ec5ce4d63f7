"""Seeing it: what this process and the whole cluster are doing, for people, Prometheus and systemd.

`sight` is what can be seen of this process, `node` writes it to the database and reads there what the cluster does,
`metrics` and `server` show it by HTTP, `systemd` tells the service manager.
"""
