"""What runs in the child process: the only code that imports TensorRT.

It imports nothing else of the toolkit and is written for Python 3.6 on, so that it also runs alone, where the
toolkit cannot be installed.
"""
