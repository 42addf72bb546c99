"""The screen of tasks: which there are, what a person makes of them, what comes of one."""
