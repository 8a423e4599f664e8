"""What each operation of a traced graph is: multiplied, added, looked through, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

from torch import fx, nn

from nemo_lab.workload.arranged import stored
from nemo_lab.workload.nodes import RESHAPING, argument, function_name, is_function, is_tensor

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
TRANSPARENT_MODULES = (
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AvgPool2d,
)
TRANSPARENT = {
    "T", "adaptive_avg_pool2d", "alias", "avg_pool2d", "clone", "contiguous", "detach", "dropout", "expand",
    "feature_dropout", "flatten", "mT", "max_pool1d", "max_pool2d", "_max_pool2d", "max_pool3d", "mean",
    "movedim", "permute", "reshape", "squeeze", "stochastic_depth", "swapaxes", "t", "transpose", "unflatten",
    "unsqueeze", "view",
}  # fmt: skip
ALIASES = {
    **dict.fromkeys(("bmm", "mm", "addmm", "baddbmm", "einsum"), "matmul"),
    **dict.fromkeys(("select", "getitem", "narrow", "slice"), "part"),
    "_safe_softmax": "softmax",
}
ATTENTION = "scaled_dot_product_attention"
SOFTMAX = {"softmax", "_softmax", "_safe_softmax"}

# the two arguments that are multiplied: (position, keyword) of each
PRODUCTS: dict[str, tuple[tuple[int, str], tuple[int, str]]] = {
    **{
        f"conv{transposed}{dims}d": ((1, "weight"), (0, "input"))
        for transposed in ("", "_transpose")
        for dims in (1, 2, 3)
    },
    "convolution": ((1, "weight"), (0, "input")),
    "linear": ((1, "weight"), (0, "input")),
    "matmul": ((0, "input"), (1, "other")),
    "bmm": ((0, "input"), (1, "mat2")),
    "mm": ((0, "input"), (1, "mat2")),
    "addmm": ((1, "mat1"), (2, "mat2")),
    "baddbmm": ((1, "batch1"), (2, "batch2")),
}


class Operations:
    """The nodes of one measured graph, told apart.

    Args:
        graph: traced, and measured by ``nemo_lab.workload.shapes_and_macs``.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.modules: Mapping[str, nn.Module] = dict(graph.named_modules())
        self.names = {node: function_name(node) for node in graph.graph.nodes if is_function(node)}

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module a node calls, if it calls one."""
        return self.modules[str(node.target)] if node.op == "call_module" else None

    def function(self, node: fx.Node) -> str | None:
        """The name of the function a node calls, if it calls one."""
        return self.names.get(node)

    def operands(self, node: fx.Node) -> tuple[fx.Node | None, fx.Node] | None:
        """The two tensors a node multiplies, None first for a layer's own weight; None if it does not."""
        module = self.module(node)
        if isinstance(module, LAYERS):
            found = argument(node, 0, "input")
            return None if _is_complex(module) else (None, found)
        name = self.names.get(node, "")
        if name == "einsum":
            tensors = [n for n in node.all_input_nodes if is_tensor(n)]
            return (tensors[0], tensors[-1]) if _einsum_operands(node) == 2 and tensors else None
        places = PRODUCTS.get(name)
        if places is None:
            return None
        left, right = (argument(node, *place) for place in places)
        return (left, right) if is_tensor(left) and is_tensor(right) else None

    def addends(self, node: fx.Node) -> tuple[fx.Node, ...]:
        """The tensors a node adds; none if it adds a bias, a number, or something to attention scores."""
        if self.names.get(node) != "add":
            return ()
        left = argument(node, 0, "input")
        right = argument(node, 1, "other")
        if not (is_tensor(left) and is_tensor(right)) or any(map(self._is_bias, (left, right))):
            return ()
        if self._becomes_scores(node):
            return ()
        return (left, right)

    def pooled(self, node: fx.Node) -> fx.Node | None:
        """What an ``AdaptiveAvgPool2d`` module pools, which the paper's node counts quantize."""
        return node.all_input_nodes[0] if isinstance(self.module(node), nn.AdaptiveAvgPool2d) else None

    def hides_products(self, node: fx.Node) -> bool:
        """Whether a node multiplies inside where torch.fx does not look, and torch.export may."""
        module = self.module(node)
        if module is None:
            return bool(node.meta.get("macs")) and self.operands(node) is None
        return any(isinstance(part, LAYERS) for part in module.modules() if part is not module)

    def is_transparent(self, node: fx.Node) -> bool:
        """Whether quantizing before the node serves as well as after it."""
        module = self.module(node)
        if module is not None:
            return isinstance(module, TRANSPARENT_MODULES)
        return self.names.get(node) in TRANSPARENT and bool(node.all_input_nodes)

    def producer(self, node: fx.Node) -> fx.Node:
        """The node whose tensor is quantized when ``node`` is consumed."""
        while self.is_transparent(node):
            node = node.all_input_nodes[0]
        return node

    def op(self, node: fx.Node) -> str:
        """The operation type of a node, in the words of the field."""
        module = self.module(node)
        if module is not None and _is_complex(module):
            return f"complex {type(module).__name__.lower()}"
        if isinstance(module, CONVOLUTIONS):
            return "depthwise conv" if 1 < module.groups == module.in_channels else "conv"
        if isinstance(module, TRANSPOSED):
            return "transposed conv"
        if isinstance(module, BATCH_NORMS):
            return "batch norm"
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return "pool"
        if module is not None:
            return type(module).__name__.lower()
        if node.op == "placeholder":
            return "input"
        if node.op == "get_attr":
            return "parameter"
        name = self.names.get(node, node.op)
        if name.startswith("conv") and name in PRODUCTS:
            return "transposed conv" if "transpose" in name else self._conv(node)
        return ALIASES.get(name, name)

    def _conv(self, node: fx.Node) -> str:
        operands = self.operands(node)
        if operands is None or operands[0] is None:
            return "conv"
        channels = operands[1].meta["shape"][1]
        groups = channels // operands[0].meta["shape"][1]
        return "depthwise conv" if 1 < groups == channels else "conv"

    def _is_bias(self, node: fx.Node) -> bool:
        """Whether it is a stored vector, or a constant such as a mask, arranged in whatever way."""
        found = stored(node)
        if found is None:
            return False
        tensor = attrgetter(str(found.target))(self.graph)
        return not isinstance(tensor, nn.Parameter) or tensor.numel() == max(tensor.shape, default=1)

    def _becomes_scores(self, node: fx.Node) -> bool:
        """Whether a softmax reads it, behind other masks and changes of shape perhaps."""
        for user in node.users:
            if self._is_softmax(user):
                return True
            if self.names.get(user) in {*RESHAPING, "add"} and self._becomes_scores(user):
                return True
        return False

    def _is_softmax(self, node: fx.Node) -> bool:
        return isinstance(self.module(node), nn.Softmax) or self.names.get(node) in SOFTMAX


def _is_complex(module: nn.Module) -> bool:
    weight = module._parameters.get("weight")  # not the attribute: a parametrization would compute it
    return weight is not None and weight.is_complex()


def _einsum_operands(node: fx.Node) -> int:
    if not isinstance(node.args[0], str):  # tensors and lists of axes by turns
        return len(node.args) // 2
    given = node.args[1] if len(node.args) > 1 else ()
    return len(given) if isinstance(given, list | tuple) else len(node.args) - 1
