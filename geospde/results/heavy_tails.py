"""Student t priors of fixed effects, by the Gaussians of the same slope and height where the posterior is."""

from dataclasses import replace

from geospde.inference.laplace import Laplace
from geospde.model.build import Model

ROUNDS = 3  # from a prior's centre; the coefficients move by a hundredth of their sd in the second


def settled(model: Model) -> tuple[Model, Laplace]:
    """The model with its Student t priors matched to Gaussians at the mode of the coefficients, ready for inference.

    A model without any stays as it is.
    """
    laplace = Laplace(model)
    if model.fixed_priors.heavy_tailed:
        for _ in range(ROUNDS):
            mode = laplace.at(model.start, gradient=False).x
            model = replace(model, fixed_priors=model.fixed_priors.matched(mode[laplace.n_random :]))
            laplace = Laplace(model)
    return model, laplace
