"""Programs: functions and variables in a session of their own, which leave nothing behind."""

import gc
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.training.trainer import Trainer
from pillow_inr.runtime.program import Function, Program

pytestmark = pytest.mark.keras

CPU = "/device:CPU:0"


def counter() -> dict[str, Function]:
    total = tf.Variable(2.0)
    pair = {"left": tf.TensorSpec([]), "right": tf.TensorSpec([])}
    return {
        "add": Function(lambda given: tf.group(total.assign_add(given["left"] * given["right"])), (pair,)),
        "total": Function(lambda: {"total": tf.identity(total), "list": [tf.identity(total)]}),
        "square": Function(tf.function(lambda values: values * values, jit_compile=True), (tf.TensorSpec([None]),)),
    }


def test_arguments_and_results_are_nested_arrays() -> None:
    program = Program(counter, CPU)
    program.run("add", {"right": 4.0, "left": 3})
    assert program.run("total") == {"total": 14.0, "list": [14.0]}
    np.testing.assert_array_equal(program.run("square", np.float32([3, 5])), [9, 25])
    program.run("initialize")
    assert program.run("total")["total"] == 2


def test_programs_share_no_variables() -> None:
    first, second = Program(counter, CPU), Program(counter, CPU)
    first.run("add", {"left": 1, "right": 1})
    assert (first.run("total")["total"], second.run("total")["total"]) == (3, 2)


def _graphs() -> int:
    gc.collect()
    return sum(isinstance(element, tf.Graph) for element in gc.get_objects())


def test_a_trainer_leaves_nothing_behind() -> None:
    """Its session goes with the last reference, its graphs with the garbage; the host's context never had them."""
    architecture = Architecture(width=4, depth=1, channels=1, frequencies=2, frequency_ratio=150)
    Trainer(architecture, 16, 4, CPU)  # what is imported and cached once
    graphs, functions = _graphs(), _functions()
    trainer = Trainer(architecture, 16, 4, CPU)
    session = weakref.ref(trainer.program._session)
    del trainer
    assert session() is None
    assert (_graphs(), _functions()) == (graphs, functions)


def _functions() -> int:
    from tensorflow.python.eager import context

    gc.collect()
    return len(context.context().list_function_names())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_ends_in_peace() -> None:
    """It has the parent's session but not its threads: deleting the session would crash."""
    code = (
        "import os, sys, tensorflow as tf; from pillow_inr.runtime.program import Function, Program; "
        f"program = Program(lambda: {{'one': Function(lambda: tf.constant(1.0))}}, {CPU!r}); program.run('one'); "
        "child = os.fork(); child or sys.exit(); sys.exit(os.waitpid(child, 0)[1])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
