"""Uses of the latent space, measured."""
