"""The library of models: what is kept, where more can be had, and what of that runs here.

`library` is what a store keeps, with what a person wants to know of it; `address` tells a path from a hub's repository
and a URL; `offers` marks the files of a repository and recommends one; `curated` names a few models to begin with.
Nothing here asks a network: native/hub.py and native/pull.py do.
"""
