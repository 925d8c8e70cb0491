"""The map: all units of a backbone on one plane, near to each other where they look for the same."""

#: A backbone with fewer units than this has no map.
LEAST = 12
