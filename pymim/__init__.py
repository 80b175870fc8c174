"""pymim: masked image modelling, one gin file per paper, over a small native core."""

from pkgutil import extend_path

__version__ = "0.1.0"

# Started from a checkout (python -m pymim.run), this folder comes first on the path, and the compiled _core lies
# in the installed package: look there too.
__path__ = extend_path(__path__, __name__)
