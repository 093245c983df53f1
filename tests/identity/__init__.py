"""What is told about callers."""
