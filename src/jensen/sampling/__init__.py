"""Exact samplers of autoregressive models: one a file, all walking the sites for a `Walk` that draws them.

With the same uniform numbers every sampler gives the same rows: `naive` makes a full pass a site and is the oracle,
the others keep what they computed. `stack` describes a network of convolutions by its taps; from these follow its
receptive field, how many sites can be drawn at once, and two cached samplers, `rows` and `wavefront`.
"""
