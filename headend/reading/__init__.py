"""One meter, read now: what `headend read` asks for, and what it makes of the answers.

    target      where ADDRESS leads: link, type, keys
    span        which time is meant
    lasting     a session that outlives its link
    pace        how many rows to ask for at once
    pieces      what is read, one kind after the other
    from_meter  from what the drivers read to tables
    tables      the one shape of all that was read, which is printed, written, drawn and reported
    output      tables as text, JSON, CSV, Parquet
    plots       curves and bars in a terminal
    telling     progress, and each step in plain words
    explaining  what an error most likely means, and what to try
    command     all of it, from end to end

The one rule: what came from the meter is kept until the end, whatever happens to the link in between.
"""
