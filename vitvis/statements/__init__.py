"""The statements of the work that vitvis follows, each measured and laid out on a page.

`vitvis.statements.run.run_findings` is the whole of it in one call; a statement is a function from a `Bench`, which
runs and remembers fits, searches and evaluations, to a `Finding`.
"""
