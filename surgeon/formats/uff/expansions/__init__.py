"""Operations that UFF lacks, expanded into those that it has; discovery finds each file here.

A module has a table ``EXPANSIONS``: for each operation a function of an :class:`~surgeon.formats.uff.expansion.Expansion`
that adds nodes and returns what stands for the operation's output, a tuple of it for several outputs, a
text that says why it cannot be expanded, or None where the node stays for the converter.
"""  # noqa: E501
