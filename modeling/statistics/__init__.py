"""The published analysis' descriptive and classical statistics: results first, figures second."""
