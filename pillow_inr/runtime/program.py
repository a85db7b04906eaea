"""Compiled TensorFlow functions whose memory comes back when they are no longer needed.

A `tf.function` called eagerly leaves its graphs and its compiled code in the process's eager context, which never drops
them: some 80 MB for a small network. A session has devices and a compiler cache of its own, and frees them when it is
deleted; the eager context, which the host shares with us, is left alone. Knows no network.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context  # the one place where the host's settings are together

from . import quiet


class Function(NamedTuple):
    """A Python function to be traced, and what it is called with."""

    call: Callable[..., Any]
    """Returns tensors, nested in any way, or an operation."""
    signature: tuple[Any, ...] = ()
    """A `tf.TensorSpec` for each tensor of the arguments, nested as the arguments are."""


class _Session(tf.compat.v1.Session):  # type: ignore[misc]
    """A session that processes forked from this one leave alone: its threads are not there, and deleting it crashes."""

    def __init__(self, **arguments: Any) -> None:
        self._process = os.getpid()
        super().__init__(**arguments)

    def __del__(self, process: Callable[[], int] = os.getpid) -> None:  # bound now: modules are empty at exit
        if process() == self._process:
            super().__del__()


class _Endpoint(NamedTuple):
    inputs: list[str]
    outputs: Any
    """Names of tensors, nested as the function returns them."""


class Program:
    """Functions, and the variables they share, in a session of their own.

    Deleting the last reference frees what was compiled for it. Several threads may run functions that assign no
    variable at the same time.
    """

    def __init__(self, build: Callable[[], Mapping[str, Function]], device: str) -> None:
        """Trace functions; each is compiled when it is first run.

        Args:
            build: called once, in the graph that the functions and their variables become part of.
            device: where they run, a TensorFlow device name.
        """
        traced = tf.Graph()
        with traced.as_default(), tf.device(device):
            self._endpoints = {name: _traced(function) for name, function in build().items()}
            self._endpoints["initialize"] = _traced(Function(tf.compat.v1.global_variables_initializer))
        # A copy of the graph without the Python objects that tracing left in it, which take as much as compiled code.
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(traced.as_graph_def(), name="")
        self._session = _Session(graph=graph, config=_session_config())
        self._compiled: set[str] = set()
        self.run("initialize")

    def run(self, name: str, *arguments: Any) -> Any:
        """Call a function by its name; "initialize" gives all variables their first values.

        Args:
            arguments: arrays or numbers, nested as the function's signature.
        Returns:
            Arrays, nested as the function's tensors.
        """
        inputs, outputs = self._endpoints[name]
        values = map(np.asarray, tf.nest.flatten(arguments))
        feeds = dict(zip(inputs, values, strict=True))
        with quiet.first_use(name not in self._compiled):
            results = self._session.run(tf.nest.flatten(outputs), feeds)
        self._compiled.add(name)
        return tf.nest.pack_sequence_as(outputs, results)


def _session_config() -> tf.compat.v1.ConfigProto:
    """The host's settings of devices and threads, and no rewriting of graphs.

    Grappler would change what XLA is given to compile, and with it the last bits of a fit's numbers.
    """
    config = tf.compat.v1.ConfigProto()
    config.CopyFrom(context.context().config)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return config


def _traced(function: Function) -> _Endpoint:
    inputs = tf.nest.map_structure(lambda spec: tf.compat.v1.placeholder(spec.dtype, spec.shape), function.signature)
    outputs = function.call(*inputs)
    named = tf.nest.map_structure(lambda element: element.name, (inputs, outputs))
    return _Endpoint(tf.nest.flatten(named[0]), named[1])
