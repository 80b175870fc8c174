"""Sources of images and clips, and the loader that makes batches of them."""
