"""FLOAT -> OBSERVED: put an observer after every tensor that needs a scale of its own.

The float results do not change (exact): observers return their input.
"""

from __future__ import annotations

from torch import fx

from ...graph.edit import bypass, operator_of, submodule_path
from ...graph.operators import Scaling, Trait
from ...graph.pass_runner import PassLog, PassResult, copy_graph, pass_logs, run_passes
from ...graph.shapes import carried_meta
from ...graph.stages import Stage, check_stage, graph_facts, set_stage
from ..config import QuantConfig
from ..numbers import ops
from ..ranges.known_ranges import watch_known
from ..ranges.observers import Observer
from .bias_correction import watch_means
from .float32_layers import require_float32
from .mixed_tensors import watch_parts
from .plan import Plan, plan_quantization
from .rewrites import lowering

OBSERVERS = "fxpasses_observers"
"""Path of the submodule that holds the observers; no user's model has this name."""
WATCHERS = "fxpasses_"
"""Path prefix of every module that :func:`observe` inserts."""


def observe(gm: fx.GraphModule, config: QuantConfig | None = None, *, every_tensor: bool = False) -> fx.GraphModule:
    """Insert observers (``prepare_fx`` in ``torch.ao``).

    Args:
        gm: a FLOAT graph, fused. It is not changed.
        config: defaults to ``QuantConfig()``.
        every_tensor: also observe tensors that share their input's scale, so that :func:`convert` may leave any nodes
            in float: the int8 nodes after them then need ranges of their own.

    Raises:
        GraphError: the graph is not FLOAT.
    """
    config = config or QuantConfig()
    check_stage(gm, Stage.FLOAT, "observe")
    require_float32(gm, "observe")
    gm = run_passes(gm, lowering(config))
    plan = plan_quantization(gm, config)
    watch_parts(gm, plan)
    watch_known(gm, [root for root in plan.roots if has_known_range(gm, root)])
    result = _insert(gm, plan, config, list(plan.root) if every_tensor else plan.roots)
    for node, why in plan.why_float.items():
        result.stay_float(node, why)
    if config.bias_correction:
        watch_means(gm, plan)
    graph_facts(gm).config = config
    pass_logs(gm).append(PassLog("observe", result))
    set_stage(gm, Stage.OBSERVED)
    gm.graph.lint()
    gm.recompile()
    return gm


def without_observers(gm: fx.GraphModule) -> fx.GraphModule:
    """Remove all inserted modules from an OBSERVED graph: the FLOAT graph that conversion starts from."""
    twin = copy_graph(gm)
    for node in list(twin.graph.nodes):
        if node.op == "call_module" and str(node.target).startswith(WATCHERS):
            source = node.args[0]
            assert isinstance(source, fx.Node)
            bypass(twin, node, source)
    set_stage(twin, Stage.FLOAT)
    twin.recompile()
    return twin


def needs_observer(gm: fx.GraphModule, root: fx.Node) -> bool:
    """Whether a root's range has to be measured; those of sigmoid, pixels and embedding tables are known."""
    operator = operator_of(gm, root)
    if root.target is ops.pixels:
        return False
    return operator is None or not (operator.scaling is Scaling.FIXED or Trait.LOOKS_UP in operator.traits)


def has_known_range(gm: fx.GraphModule, root: fx.Node) -> bool:
    """Whether the operator that computes a root has a fixed range, as sigmoid has."""
    operator = operator_of(gm, root)
    return operator is not None and operator.fixed_range is not None


def _insert(gm: fx.GraphModule, plan: Plan, config: QuantConfig, observed: list[fx.Node]) -> PassResult:
    result = PassResult()
    for node, operator in plan.int8.items():
        gives = ", its result in float" if node in plan.float_results else ""
        result.change(node, f"{operator} will run in int8{gives}")
    for activation, producer in plan.absorbed.items():
        result.change(activation, f"{producer.name} takes it in")
    for root in plan.roots:
        if root not in plan.int8 and root not in plan.absorbed and root not in plan.why_float:
            result.change(root, "int8 reads it")
    for tensor in observed:
        if needs_observer(gm, tensor):
            _put_behind(gm, tensor, config.observer_of(gm, plan.absorbed.get(tensor, tensor)).build())
    return result


def _put_behind(gm: fx.GraphModule, root: fx.Node, observer: Observer) -> None:
    name = submodule_path(f"{OBSERVERS}.{root.name}")
    gm.add_submodule(name, observer)
    with gm.graph.inserting_after(root):
        node = gm.graph.call_module(name, (root,))
    node.meta = carried_meta(root)
    for user in [u for u in root.users if u is not node]:
        user.replace_input_with(root, node)


def find_observers(gm: fx.GraphModule) -> dict[str, fx.Node]:
    """Observer nodes of an OBSERVED graph, by the name of the tensor they observe."""
    prefix = f"{OBSERVERS}."
    return {
        n.all_input_nodes[0].name: n
        for n in gm.graph.nodes
        if n.op == "call_module" and str(n.target).startswith(prefix)
    }
