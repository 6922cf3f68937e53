"""How the demo model was trained: network, targets, training loop and evaluation, reproducible from a seed."""
