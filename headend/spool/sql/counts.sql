SELECT kind, count(*) AS entries FROM entry WHERE error IS NULL GROUP BY kind
