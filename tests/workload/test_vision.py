"""Torchvision's networks in the zoo: published sizes, honest about their weights, safe without a network.

No test reaches the real server: a proxy that refuses every connection stands in its way. Servers are
local ones.
"""

from __future__ import annotations

import hashlib
import io
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nemo_lab import CostModel, NemoError, NemoWarning, QuantizationProblem, create_study, load_workload
from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.workload.zoo import checkpoints as hub
from nemo_lab.workload.zoo.checkpoints import WeightsError
from nemo_lab.workload.zoo.vision import VISION, TorchvisionError
from tests.waiting import PATIENCE

models = pytest.importorskip("torchvision.models", exc_type=(ImportError, RuntimeError))  # type: ignore[arg-type]

PUBLISHED = {
    "mobilenet_v2": 3_504_872,
    "resnet50": 25_557_032,
    "resnext101_32x8d": 88_791_336,
    "resnet18": 11_689_512,
    "vit_b_16": 86_567_656,
    "efficientnet_b0": 5_288_548,
}


@pytest.fixture(autouse=True)
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of checkpoints, and no way to the network."""
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "TORCH_HUB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(urllib.request, "_opener", None)  # forgets the proxies of an earlier request
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    folder = tmp_path / "torch/hub/checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which a local server offers it."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None: ...

    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def weights_at(url: str) -> Any:
    class Local(models.WeightsEnum):  # type: ignore[name-defined]
        V1 = models.Weights(url=url, transforms=nn.Identity, meta={})

    return Local.V1


def file_of(name: str) -> str:
    return os.path.basename(hub.checkpoint(models.get_model_weights(name)["IMAGENET1K_V1"].url))


def trained_like(name: str, seed: int = 3) -> nn.Module:
    """An ordinary network of torchvision whose every parameter and buffer differs from a fresh one's."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        net: nn.Module = models.get_model(name, weights=None).eval()
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.mul_(1 + 0.1 * torch.rand(tensor.shape, generator=generator)).abs_()
        else:
            tensor.fill_(1234)
    return net


def same(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_the_zoo_holds_these() -> None:
    assert VISION.keys() == PUBLISHED.keys()


@pytest.mark.parametrize(("name", "params"), PUBLISHED.items())
def test_parameters_are_the_published_ones(name: str, params: int) -> None:
    net = VISION[name].untrained()
    assert sum(parameter.numel() for parameter in net.parameters()) == params
    assert models.get_model_weights(name)[VISION[name].weights].meta["num_params"] == params
    assert not any(module.training for module in net.modules())


@pytest.mark.parametrize(
    ("name", "decisions", "macs"),
    [
        ("mobilenet_v2", 116, 300_774_272),
        ("resnet50", 125, 4_089_184_256),
        ("resnext101_32x8d", 244, 16_414_015_488),
    ],
)
def test_workloads_have_the_papers_decisions_and_exact_costs(name: str, decisions: int, macs: int) -> None:
    workload = load_workload(name, pretrained=False)
    assert (len(workload.nodes), workload.macs) == (decisions, macs)
    assert (workload.name, workload.trained, workload.data) == (name, False, None)
    assert workload.example_shapes == ((1, 3, 224, 224),)
    size, _ = CostModel(workload).evaluate(np.full((1, decisions), 8))[0]
    assert size == pytest.approx(8 / 32)


def test_without_network_the_default_warns_once_and_goes_on_untrained(checkpoints: Path) -> None:
    with pytest.warns(NemoWarning) as caught:
        workload = load_workload("mobilenet_v2")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    text = str(caught[0].message)
    for part in (file_of("mobilenet_v2"), str(checkpoints), "refused", "random weights", "from_module"):
        assert part in text
    assert workload.trained is False
    assert "random weights" in workload.summary()
    assert same(workload.module, VISION["mobilenet_v2"].untrained())
    assert [*checkpoints.iterdir()] == []


def test_pretrained_raises_soon_without_network() -> None:
    start = time.monotonic()
    with pytest.raises(WeightsError, match="cannot be fetched") as caught:
        load_workload("mobilenet_v2", pretrained=True)
    assert time.monotonic() - start < PATIENCE / 2
    assert "put it into" in caught.value.hint


def test_untrained_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any) -> Any:
        raise AssertionError("asked for weights")

    monkeypatch.setattr("nemo_lab.workload.zoo.vision.trained_state", never)
    assert load_workload("resnet18", pretrained=False).trained is False


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "efficientnet_b0", "vit_b_16"])
def test_a_cached_file_is_loaded_and_computes_as_an_ordinary_network(checkpoints: Path, name: str) -> None:
    expected = trained_like(name)
    torch.save(expected.state_dict(), checkpoints / file_of(name))
    net = VISION[name].pretrained()
    assert same(net, expected)
    assert not any(module.training for module in net.modules())
    for one, other in zip(net.parameters(), expected.parameters(), strict=True):
        assert (one.device, one.dtype, one.requires_grad) == (other.device, other.dtype, other.requires_grad)
    for buffer in net.buffers():
        assert buffer.device.type == "cpu"
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(net(images), expected(images))


@pytest.mark.parametrize("pretrained", [None, True])
def test_cached_weights_make_a_trained_workload(checkpoints: Path, pretrained: bool | None) -> None:
    expected = trained_like("resnet18")
    torch.save(expected.state_dict(), checkpoints / file_of("resnet18"))
    workload = load_workload("resnet18", pretrained=pretrained)
    assert workload.trained is True
    assert same(workload.module, expected)
    assert "random" not in workload.summary()


def test_weights_without_batch_counters_or_in_half_precision_are_fine(checkpoints: Path) -> None:
    state = trained_like("resnet18").half().state_dict()
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(old, checkpoints / file_of("resnet18"))
    net = VISION["resnet18"].pretrained()
    assert {tensor.dtype for tensor in net.state_dict().values()} == {torch.float32, torch.int64}
    assert net(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran-code",)


def damaged(kind: str) -> bytes:
    state: Any = trained_like("resnet18").state_dict()
    if kind == "empty":
        return b""
    if kind == "page":
        return b"<html>log in to the hotel's network</html>"
    if kind == "code":
        state = {"conv1.weight": Evil()}
    elif kind == "list":
        state = [1, 2]
    elif kind == "shape":
        state["fc.weight"] = state["fc.weight"][:10]
    elif kind == "key":
        del state["fc.weight"]
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()[: 1_000_000 if kind == "cut" else None]


@pytest.mark.parametrize("kind", ["empty", "page", "cut", "code", "list", "shape", "key"])
def test_a_damaged_file_is_named_and_never_run(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(checkpoints)
    file = checkpoints / file_of("resnet18")
    file.write_bytes(damaged(kind))
    with pytest.raises(WeightsError) as caught:
        load_workload("resnet18", pretrained=True)
    assert str(file) in caught.value.message
    assert "delete the file" in caught.value.hint
    assert len(str(caught.value)) < 600
    with pytest.warns(NemoWarning) as warned:
        workload = load_workload("resnet18")
    assert len(warned) == 1
    assert str(file) in str(warned[0].message)
    assert workload.trained is False
    assert [*checkpoints.iterdir()] == [file]  # neither removed nor run


def test_random_weights_repeat_and_leave_the_generator_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one, other = VISION["resnet18"].untrained(), VISION["resnet18"].untrained()
    assert same(one, other)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    assert same(one, VISION["resnet18"].untrained())


def test_loading_trained_weights_leaves_the_generator_alone(checkpoints: Path) -> None:
    torch.save(trained_like("resnet18").state_dict(), checkpoints / file_of("resnet18"))
    torch.manual_seed(7)
    before = torch.get_rng_state()
    VISION["resnet18"].pretrained()
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_are_fetched_and_their_hash_is_verified(
    served: tuple[Path, str], checkpoints: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, address = served
    buffer = io.BytesIO()
    torch.save({"weight": torch.arange(5.0)}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:8]
    (folder / f"net-{digest}.pth").write_bytes(buffer.getvalue())
    (folder / "net-00000000.pth").write_bytes(buffer.getvalue())
    state = hub.trained_state(weights_at(f"{address}/net-{digest}.pth"))
    assert state["weight"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(WeightsError, match="invalid hash"):
        hub.trained_state(weights_at(f"{address}/net-00000000.pth"))
    assert [file.name for file in checkpoints.iterdir()] == [f"net-{digest}.pth"]


def test_a_server_without_the_file_is_an_error(served: tuple[Path, str]) -> None:
    with pytest.raises(WeightsError, match="404"):
        hub.trained_state(weights_at(f"{served[1]}/net-00000000.pth"))


def test_a_server_that_never_answers_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "PROBE_SECONDS", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        with pytest.raises(WeightsError, match=r"no answer in 0\.5 s|timed out"):
            hub.trained_state(weights_at(f"http://127.0.0.1:{silent.getsockname()[1]}/net-00000000.pth"))
        assert time.monotonic() - start < PATIENCE / 2
    for thread in threading.enumerate():
        if thread.name == "nemo_lab-probe":
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert socket.getdefaulttimeout() is None


def test_unknown_names_propose_the_nearest_of_all() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'mobilenet_v2'"):
        load_workload("mobilenetv2")
    with pytest.raises(UnknownNameError) as caught:
        load_workload("?")
    for name in ("digits", "fashion", "text", *PUBLISHED)[:8]:  # as many as an error lists
        assert name in str(caught.value)


def test_pretrained_takes_three_values_and_embedded_ones_are_always_trained() -> None:
    for value in ("yes", 1, 0):
        with pytest.raises(ArgumentError, match="give True, False or None"):
            load_workload("mobilenet_v2", pretrained=value)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="always trained"):
        load_workload("digits", pretrained=False)
    assert load_workload("digits", pretrained=True).trained is True


def test_a_study_of_random_weights_is_refused() -> None:
    with pytest.raises(NemoError, match=r"images of 'resnet18' are not in the package; w = load_workload"):
        create_study("resnet18")
    with pytest.raises(NemoError, match="weights of 'resnet18' are random"):
        QuantizationProblem(load_workload("resnet18", pretrained=False))


def run(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, root)))}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


def test_the_embedded_workloads_do_not_import_torchvision() -> None:
    done = run("import nemo_lab, sys; nemo_lab.load_workload('digits'); print('torchvision' in sys.modules)")
    assert (done.stdout, done.returncode) == ("False\n", 0), done.stderr


@pytest.mark.parametrize(
    "raised",
    [
        "ImportError('no module')",
        "RuntimeError('operator torchvision::nms does not exist')",
        "OSError('undefined symbol')",
    ],
)
def test_a_missing_or_mismatched_torchvision_tells_what_to_install(tmp_path: Path, raised: str) -> None:
    package = tmp_path / "broken/torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"raise {raised}\n")
    code = (
        "import nemo_lab\n"
        "for pretrained in (None, True, False):\n"
        "    try: nemo_lab.load_workload('resnet18', pretrained=pretrained)\n"
        "    except nemo_lab.NemoError as error: print(type(error).__name__, error)\n"
    )
    lines = run(code, package.parent).stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert line.startswith(TorchvisionError.__name__)
        assert raised.split("'")[1] in line
        assert 'pip install "nemo_lab[vision]"' in line
