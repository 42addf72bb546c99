"""Every kernel in numpy, and a device that replays plans with them."""
