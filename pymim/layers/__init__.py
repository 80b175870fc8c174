"""What encoders and predictors are made of."""
