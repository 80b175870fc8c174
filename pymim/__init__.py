"""pymim: masked image modelling, one gin file per paper, over a small native core."""

__version__ = "0.1.0"
