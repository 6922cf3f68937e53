"""Rules by family of ops: every module has a table ``RULES``.

:mod:`surgeon.infer.registry` finds them all.
"""
