"""Seeing inside: what a network looks at, what it has learnt, whether it can learn. On any nn.Module."""
