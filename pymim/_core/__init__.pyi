from pymim._core import block as block
from pymim._core import kmeans as kmeans
from pymim._core import mask as mask
from pymim._core import rank as rank
from pymim._core import sinkhorn as sinkhorn

has_cuda: bool
emulated: bool
