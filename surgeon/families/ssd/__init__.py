"""Single-shot detectors of the Object Detection API, with one join of box encodings and one of class
scores.
"""
