"""The page's logic. It runs in a worker through PyScript.

main puts the parts together: model_holder has the one model, model_panel shows its state, and each module of
screens/ is a screen that is given these parts. elements and browser alone touch what is outside of Python; words and
format say things, faults name what went wrong. What must answer before Python is there is in web/boot.js.
"""
