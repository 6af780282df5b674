"""The two generators of labelled retinal pairs, their training, and the package they ship in.

Plain PyTorch: nothing here knows of the service, so a researcher can use it on its own.
"""
