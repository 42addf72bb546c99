"""What the tests of kernels share."""

from kernels.harness import pytest_runtest_call

__all__ = ["pytest_runtest_call"]
