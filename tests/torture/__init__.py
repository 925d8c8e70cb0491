"""Scripts that do to vitvis what machines, users and strangers do; see docs/reliability.md.

`python -m tests.torture.kills`, `.damage`, `.inputs`, `.surroundings`: each takes `count=N seed=N` and the names of
commands, prints a table of what was tried and what held, and ends with status 1 where something did not.
"""
