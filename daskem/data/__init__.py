"""The data: `inputs` makes arrays of what holds rows, `blocks` sums over them. No word of EM."""
