"""Reports to hand over: one HTML file of one meter, which needs no script, no network and no other file."""
