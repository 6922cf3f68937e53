"""How the demo model was trained.

Network, targets, training loop and evaluation, reproducible from a seed.
"""
