"""The program of a device: what takes the place of code and packages that are not there, in the syntax of
Python 3.6.
"""
