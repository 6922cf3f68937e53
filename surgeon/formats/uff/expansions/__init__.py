"""Operations that UFF lacks, expanded into those that it has; discovery finds each file here.

A module has a table ``EXPANSIONS``: for each operation a function of an :class:`~surgeon.formats.uff.expansion.Expansion`
that adds nodes and returns what stands for the operation's output, or a tuple of it for several outputs, or
None where the node stays as it is.
"""  # noqa: E501
