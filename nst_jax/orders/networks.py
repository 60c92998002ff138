"""The network that paints an order: its file, read beside all else, and a task's recipe calibrated for it."""

import concurrent.futures
import functools
from typing import Any

import jax

from nst_jax.network import calibration, vgg19
from nst_jax.orders.compose import Task
from nst_jax.orders.order import Order
from nst_jax.painting.job import FastFirst
from nst_jax.recipes import Recipe


def weights_path(order: Order):
    """The weights' file that an order asks for; None: the one that is found."""
    fast = order.machine.network == "fast" or order.machine.preview
    return vgg19.fast_path() if fast else order.machine.weights


class Network:
    """A network's parameters and what its file says, read beside all else that is done until they are asked for."""

    def __init__(self, path=None):
        self.path, self.made_for = path, dict[str, vgg19.Params]()  # parameters, by the family that they were made for
        reader = concurrent.futures.ThreadPoolExecutor(1)
        self._reading = reader.submit(vgg19.read, path)
        reader.shutdown(wait=False)

    @functools.cached_property
    def params(self):
        """The parameters, on the device."""
        return jax.device_put(self._reading.result())

    @functools.cached_property
    def fast(self):
        """The parameters of the fast network, which may paint first."""
        return vgg19.load(vgg19.fast_path())

    @functools.cached_property
    def said(self) -> dict[str, Any]:
        """What a record says of the file."""
        known = vgg19.info(self.path)
        return {key: known.get(key, "unknown") for key in ("sha256", "source", "family", "precision")}

    @functools.cached_property
    def activations(self):
        """What its layers give over natural pictures, from the file or measured once."""
        return vgg19.activations(self.path) or calibration.measure_activations(self.params)

    def calibrate(self, recipe: Recipe) -> calibration.Calibrated:
        """A recipe and the parameters, made to fit each other; all recipes of a family get the same parameters."""
        if recipe.family == calibration.family_of(self.params):
            return calibration.Calibrated(recipe, self.params, "")
        found = calibration.calibrate(recipe, self.params, activations=self.activations)
        return found._replace(params=self.made_for.setdefault(recipe.family, found.params))


def with_network(task: Task, network: Network) -> Task:
    """A task with the network that paints it, and its recipe calibrated for that."""
    recipe, params, note = network.calibrate(task.job.recipe)
    job, notes = task.job._replace(recipe=recipe), [f"family:   {note}"] if note else []
    if left := task.order.ends.fast_first:
        job = job._replace(first=FastFirst(_fast_beside(network, recipe), left))
    notes += [f"layers:   {text}"] if (text := _stand_ins(params, recipe)) else []
    return task._replace(job=job, params=params, network=network.said, notes=(*task.notes, *notes))


def _fast_beside(network, recipe):
    """The fast network's parameters, if the recipe's weights fit both."""
    if recipe.family == "normalised":
        raise ValueError(f"fast-first must go with a recipe for filters as they are, got {recipe.name}: choose another")
    if (family := calibration.family_of(network.params)) != calibration.family_of(network.fast):
        raise ValueError(f"fast-first must go with a network of the caffe family, got {family}: drop weights")
    return network.fast


def _stand_ins(params, recipe) -> str:
    """What a small network does in place of what the recipe asks for, in words; nothing where it has it all."""
    if not vgg19.taps(params):
        return ""
    found = [
        f"{near} stands in for {layer}" for layer in recipe.layers if (near := vgg19.nearest(params, layer)) != layer
    ]
    found += [f"it was trained with max pooling, not {recipe.pool}"] if recipe.pool != "max" else []
    return "; ".join(found)
