"""The page's logic. It runs in a worker through PyScript; `screen` alone touches the document.

words and format say things, progress and post know what is going on, faults name what went wrong, main joins
them to the engine. What must answer before Python is there is in web/boot.js.
"""
