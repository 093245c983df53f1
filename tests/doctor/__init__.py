"""Tests of ``gateway/doctor``."""
