"""Tests of ``gateway/explain``."""
