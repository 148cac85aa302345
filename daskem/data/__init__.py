"""The data: no word of EM.

`cluster` asks who computes, `blocks` sums over rows, `survey` reads them first, and `inputs` makes
arrays of whatever holds them.
"""
