"""Accuracy of the built-in segmenter on real, perturbed and phantom scans."""
