"""Differentially private training of text classifiers, and their evaluation."""
