"""One module a kind of data; `vitvis.data.kinds` says which."""
