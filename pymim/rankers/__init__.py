"""Rankers: what decides which patches are hard, for masks that care.

A ranker is a module built by constructor(encoder, objectives). Called with (view, index, draw) it gives the
difficulty of every patch, float32 [B N], or None while it has no opinion. If it learns, `loss(branch, losses)` is a
scalar of the encoded branch and of the objectives' losses per patch, {name: [B M]}, detached. The hooks of
`pymim.method` reach it too.
"""
