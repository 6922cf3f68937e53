"""Runners: what computes a graph, and pictures and detections on both sides of it."""
