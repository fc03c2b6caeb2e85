"""Turns the public CUDA wheel of torch into a wheel torch-<version>+cpu without any CUDA code."""
