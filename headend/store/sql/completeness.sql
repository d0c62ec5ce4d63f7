SELECT division, meters, due, stored FROM completeness(%(start)s, %(until)s)
