"""The score of the MicroNet challenge (2019): storage and operations of a network, in units of 32 bits.

    score = storage / storage_of_the_base + operations / operations_of_the_base

The folder is not called ``score``: importing it would hide the function :func:`fxpasses.score`.
"""
