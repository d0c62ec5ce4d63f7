SELECT (SELECT count(*) FROM segment WHERE down_since IS NOT NULL) AS segments_down,
       (SELECT count(*) FROM meter WHERE state = 'silent') AS meters_silent
