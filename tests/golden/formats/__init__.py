"""A second reading of docs/formats.md, independent of the program: it knows the page and nothing else."""
