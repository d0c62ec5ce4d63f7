UPDATE outage_mark SET followed = %(followed)s::text::xid8 WHERE followed <> %(followed)s::text::xid8
